package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify"
)

// name is what both writers lock, and write.
const name = "/report"

// write locks, waits for a line, and writes under its lock: as a program does that is
// busy, or stopped, between the two. What it does not do is to ask the lock before it
// writes (Valid): that helps often, but it could be stopped right behind it.
func write(ctx context.Context, addr, url, text string, in io.Reader, out io.Writer) error {
	client, err := lockify.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer client.Close()
	space, err := client.Open(ctx, "paused-holder")
	if err != nil {
		return err
	}
	lock, err := space.Lock(ctx, name, lockify.EX)
	if err != nil {
		return err
	}
	token := lock.Token()
	fmt.Fprintf(out, "locked %d\n", token)
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	answer, err := put(ctx, url+name, token, text)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, answer)
	if !lock.Valid() {
		fmt.Fprintln(out, "the lock is lost")
		return nil
	}
	return lock.Unlock(ctx)
}

// put writes text under a token, and says what the storage says.
func put(ctx context.Context, url string, token uint64, text string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(text))
	if err != nil {
		return "", err
	}
	req.Header.Set(tokenHeader, strconv.FormatUint(token, 10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode == http.StatusOK {
		return "written", nil
	}
	return fmt.Sprintf("refused: %s", strings.TrimSpace(string(body))), nil
}
