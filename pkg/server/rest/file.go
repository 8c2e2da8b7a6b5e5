package rest

import "net/http"

// File answers with a document that is made while it is sent. Until its first byte
// it can still become an error.
type File struct {
	responder   *Responder
	w           http.ResponseWriter
	r           *http.Request
	media, name string
	begun       bool
}

// File begins to answer with a document of a media type, which clients store under
// the name. The time for the answer begins with its first byte: to make it may have
// taken long.
func (s *Responder) File(w http.ResponseWriter, r *http.Request, media, name string) *File {
	return &File{responder: s, w: w, r: r, media: media, name: name}
}

// Write implements io.Writer. Errors: that the client is gone.
func (f *File) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		AllowAnswer(f.w)
		f.w.Header().Set("Content-Type", f.media)
		f.w.Header().Set("Content-Disposition", `attachment; filename="`+f.name+`"`)
	}
	return f.w.Write(p)
}

// End ends the document, which is whole unless err says why not: then it answers
// with that, or cuts the connection if a part is sent.
func (f *File) End(err error) {
	switch {
	case err == nil && !f.begun:
		_, _ = f.Write(nil)
	case err != nil && !f.begun:
		AllowAnswer(f.w)
		f.responder.Fail(f.w, f.r, err)
	case err != nil:
		f.responder.Abort(f.r, err)
	}
}
