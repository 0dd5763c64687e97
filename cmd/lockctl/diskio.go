package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/blockdev"
)

// transferChunk is the bytes that are under way at a time.
const transferChunk = 8 << 20

func diskReadCommand(d *disk) *cobra.Command {
	var offset, length size
	var output string
	cmd := &cobra.Command{
		Use: "read ADDR NQN", Short: "Read bytes of a disk",
		Long: `read copies bytes of a disk to the standard output or a file. Offset and length need
not be multiples of the block size.`,
		Example: `  lockctl disk read 127.0.0.1 nqn.2025-01.com.example:disk --output image
  lockctl disk read 127.0.0.1 nqn.2025-01.com.example:disk --offset 1G --length 4K | xxd`,
		Args: d.target("ADDR", "NQN"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.read(cmd.Context(), int64(offset), int64(length), cmd.Flags().Changed("length"), output)
		},
	}
	flags := cmd.Flags()
	flags.Var(&offset, "offset", "begin at byte `SIZE`")
	flags.Var(&length, "length", "read `SIZE` bytes (default: to the end)")
	flags.StringVarP(&output, "output", "o", "", "write to `FILE` (default: standard output)")
	return cmd
}

// with opens the disk for f, and closes it.
func (d *disk) with(ctx context.Context, f func(io *blockdev.IO) error) (err error) {
	dev, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	disk, err := blockdev.NewIO(ctx, dev)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	return f(disk)
}

func (d *disk) read(ctx context.Context, offset, length int64, bounded bool, output string) error {
	return d.with(ctx, func(disk *blockdev.IO) (err error) {
		if offset > disk.Size() || bounded && length > disk.Size()-offset {
			return fmt.Errorf("bytes %d to %d are beyond the end of the disk, which has %d", offset, offset+length, disk.Size())
		}
		if !bounded {
			length = disk.Size() - offset
		}
		out := d.stdout
		if output != "" {
			f, err := os.Create(output)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out = f
		}
		return d.copy(out, io.NewSectionReader(disk, offset, length), "read", length)
	})
}

func diskWriteCommand(d *disk) *cobra.Command {
	var offset size
	var input string
	cmd := &cobra.Command{
		Use: "write ADDR NQN", Short: "Write bytes to a disk",
		Long: `write copies the standard input or a file to a disk, and has it made durable. Blocks
that are written in part keep the rest.`,
		Example: `  lockctl disk write 127.0.0.1 nqn.2025-01.com.example:disk --input image
  echo hello | lockctl disk write 127.0.0.1 nqn.2025-01.com.example:disk --offset 1M`,
		Args: d.target("ADDR", "NQN"),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.write(cmd.Context(), int64(offset), input) },
	}
	flags := cmd.Flags()
	flags.Var(&offset, "offset", "begin at byte `SIZE`")
	flags.StringVarP(&input, "input", "i", "", "read from `FILE` (default: standard input)")
	return cmd
}

func (d *disk) write(ctx context.Context, offset int64, input string) error {
	in, total := os.Stdin, int64(0)
	if input != "" {
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		in, total = f, st.Size()
	}
	return d.with(ctx, func(disk *blockdev.IO) error {
		if offset > disk.Size() || total > disk.Size()-offset {
			return fmt.Errorf("%d bytes at %d go beyond the end of the disk, which has %d", total, offset, disk.Size())
		}
		if err := d.copy(io.NewOffsetWriter(disk, offset), in, "written", total); err != nil {
			return err
		}
		return disk.Sync()
	})
}

// copy copies in large pieces, and tells a terminal how far it is.
func (d *disk) copy(to io.Writer, from io.Reader, what string, total int64) error {
	p := progress{begin: time.Now(), what: what, total: total}
	if f, ok := d.stderr.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			p.w = f
		}
	}
	defer p.end()
	buf := make([]byte, transferChunk)
	for {
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return fmt.Errorf("after %d bytes: %w", p.done, werr)
			}
			p.add(int64(n))
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("after %d bytes: %w", p.done, err)
		}
	}
}

// progress is a line about how far a transfer is.
type progress struct {
	w           io.Writer // nil: nobody looks
	begin, last time.Time
	what        string
	done, total int64 // bytes; total 0: unknown
	shown       bool
}

// progressEvery is how often the line changes; transfers that take less show none.
const progressEvery = 500 * time.Millisecond

func (p *progress) add(n int64) {
	p.done += n
	now := time.Now()
	if p.w == nil || now.Sub(p.begin) < progressEvery || now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.shown = now, true
	w := bufio.NewWriter(p.w)
	defer w.Flush()
	fmt.Fprintf(w, "\r%s %s", roughSize(float64(p.done)), p.what)
	if p.total > 0 {
		fmt.Fprintf(w, " of %s (%d%%)", roughSize(float64(p.total)), int64(float64(p.done)/float64(p.total)*100))
	}
	fmt.Fprintf(w, ", %s/s    ", roughSize(float64(p.done)/now.Sub(p.begin).Seconds()))
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.w)
	}
}
