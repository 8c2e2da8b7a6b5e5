package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// A stored row is one byte of format version, the row in CBOR (RFC 8949, core
// deterministic encoding, so that equal rows are equal bytes), and its CRC-32C,
// big-endian, over both.
const rowVersion = 1

// ErrDamaged says that stored bytes are not a row: the disk or another program
// changed them.
var ErrDamaged = errors.New("table: damaged row")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var encoding = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// decoding reads the maps inside a row's open-ended fields with text keys, as JSON
// needs them.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// Encode returns the stored form of row.
func Encode(row any) ([]byte, error) {
	body, err := encoding.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("table: encode %T: %w", row, err)
	}
	out := make([]byte, 0, 1+len(body)+4)
	out = append(out, rowVersion)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// Decode reads the stored form into row. Errors: ErrDamaged.
func Decode(stored []byte, row any) error {
	if len(stored) < 6 {
		return fmt.Errorf("%w: %d bytes", ErrDamaged, len(stored))
	}
	body, sum := stored[:len(stored)-4], binary.BigEndian.Uint32(stored[len(stored)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return fmt.Errorf("%w: checksum", ErrDamaged)
	}
	if body[0] != rowVersion {
		return fmt.Errorf("%w: row format %d, this engine reads %d", ErrDamaged, body[0], rowVersion)
	}
	if err := decoding.Unmarshal(body[1:], row); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
