package anchore

import "path/filepath"

// PasswordNote is the file in which an engine tells programs of the same user where
// the file with its first admin password is. It is named after the port that the
// engine listens on, and lies in the user's cache directory.
func PasswordNote(cacheDir, port string) string {
	return filepath.Join(cacheDir, "anchore-engine", port)
}
