package nearest

import "fmt"

// Suggest names the one of known that is nearest to what somebody wrote, as
// the end of a message; empty if none is near.
func Suggest(wrote string, known []string, prefix string) string {
	best, distance := "", min(max(2, len(wrote)/3)+1, len(wrote)) // not one with nothing in common
	for _, k := range known {
		if d := edits(wrote, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, best)
}

// edits is the number of bytes to insert, remove or change to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
