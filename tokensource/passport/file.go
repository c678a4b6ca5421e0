// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// A fileReader reads a file with a key or a secret, again and again. It reads
// on a goroutine of its own, because a read has no context and a file may be on
// a file system that hangs.
type fileReader struct {
	callee

	path  string
	limit int64 // in bytes
	large error // of a file above the limit
}

func newFileReader(path string, limit int64, large error) *fileReader {
	return &fileReader{
		callee: callee{quotedFile(path), "could not be read in time", make(chan struct{}, maxCalls)},
		path:   path,
		limit:  limit,
		large:  large,
	}
}

var (
	errDirectory  = errors.New("it is a directory")
	errNotRegular = errors.New("it is not a regular file, so it cannot be read again")
)

// read returns the content of the file.
func (r *fileReader) read(ctx context.Context) ([]byte, error) {
	return call(ctx, r.callee, func() ([]byte, error) {
		// To open a named pipe could take for ever, and its content comes once.
		info, err := os.Stat(r.path)
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			return nil, errDirectory
		case !info.Mode().IsRegular():
			return nil, errNotRegular
		}
		file, err := os.Open(r.path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		content, err := io.ReadAll(io.LimitReader(file, r.limit+1))
		if err == nil && int64(len(content)) > r.limit {
			return nil, r.large
		}
		return content, err
	})
}

// reason returns why the file cannot be read, and the cause. Both are safe to
// print. If the path looks like the content of a file, they do not have it.
func (r *fileReader) reason(err error) (string, error) {
	reason := "cannot be read"
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason += ": " + e.Err.Error() // The system's reason, such as "permission denied".
	} else if errors.Is(err, r.large) || errors.Is(err, errDirectory) || errors.Is(err, errNotRegular) {
		reason += ": " + err.Error()
	}
	if isNoPath(r.path) {
		return "cannot be read", nil // The reason may have the path.
	}
	return reason, err
}
