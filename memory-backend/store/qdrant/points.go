package qdrant

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

var errPoint = errors.New("qdrant: a stored point is damaged")

// pointID names the point of something: a keyed hash of its kind and name, so that nobody can tell the names, and
// two tenants never share a point.
func pointID(k *crypt.Tenant, kind, name string) (string, error) {
	h, err := k.Hash("point "+kind, name)
	if err != nil {
		return "", err
	}
	id, err := uuid.FromBytes(h)
	return id.String(), err
}

// hashed returns the keyed hash of a value, by which it is looked up, in hexadecimal.
func hashed(k *crypt.Tenant, domain, value string) (string, error) {
	h, err := k.Hash(domain, value)
	return hex.EncodeToString(h), err
}

// point is one that is to be written.
type point struct {
	id      string
	payload map[string]*qdrant.Value
	terms   map[uint32]float32 // nil for those that no search finds
	dense   []float32          // nil for none
}

// newPoint makes a point whose content is sealed.
func newPoint(k *crypt.Tenant, tenant, kind, name string, seq int64, content any) (*point, error) {
	id, err := pointID(k, kind, name)
	if err != nil {
		return nil, err
	}
	clear, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	sealed, err := k.Seal(kind, id, clear)
	if err != nil {
		return nil, err
	}
	return &point{id: id, payload: map[string]*qdrant.Value{
		fieldTenant: qdrant.NewValueString(crypt.FileName(tenant)), fieldKind: qdrant.NewValueString(kind),
		fieldSeq: qdrant.NewValueInt(seq), fieldData: qdrant.NewValueString(base64.StdEncoding.EncodeToString(sealed)),
	}}, nil
}

// open decodes the content of a point that was read. One of another tenant does not open.
func open(k *crypt.Tenant, kind string, p *stored, content any) error {
	sealed, err := base64.StdEncoding.DecodeString(p.payload[fieldData].GetStringValue())
	if err != nil || len(sealed) == 0 || p.payload[fieldKind].GetStringValue() != kind {
		return fmt.Errorf("%w: %w", memory.ErrCorrupt, errPoint)
	}
	clear, err := k.Open(kind, p.id, sealed)
	if err != nil {
		return classify(err)
	}
	return json.Unmarshal(clear, content)
}

// stored is a point that was read.
type stored struct {
	id      string
	payload map[string]*qdrant.Value
	score   float32
}

func (p *stored) seq() int64 { return p.payload[fieldSeq].GetIntegerValue() }

// The texts by which filters find a memory, and what hashes them.
var keyed = []struct {
	field  memory.Field
	name   string
	domain string
	value  func(*memory.Memory) string
}{
	{memory.FieldAgent, "agent", "agent", func(m *memory.Memory) string { return m.Agent }},
	{memory.FieldUser, "user", "user", func(m *memory.Memory) string { return m.User }},
	{memory.FieldApp, "app", "app", func(m *memory.Memory) string { return m.App }},
	{memory.FieldRun, "run", "run", func(m *memory.Memory) string { return m.Run }},
}

// times are those by which filters find a memory, in microseconds since 1970; none stands for none.
var times = []struct {
	field memory.Field
	name  string
	value func(*memory.Memory) time.Time
}{
	{memory.FieldCreated, "created", func(m *memory.Memory) time.Time { return m.Created }},
	{memory.FieldUpdated, "updated", func(m *memory.Memory) time.Time { return m.Updated }},
	{memory.FieldExpires, "expires", func(m *memory.Memory) time.Time { return m.Expires }},
	{memory.FieldProvisional, "provisional", func(m *memory.Memory) time.Time { return m.Provisional }},
	{memory.FieldExpiredAt, "expired_at", func(m *memory.Memory) time.Time { return m.ExpiredAt }},
}

// Domains of the hashes of what a memory has several of.
const (
	hashTag      = "tag"
	hashCategory = "category"
	hashMember   = "metadata"
)

// kept is a memory as it is sealed. Metadata stays as it is byte by byte.
type kept struct {
	memory.Memory
	Raw []byte
}

// memoryPoint makes the point of a memory.
func memoryPoint(k *crypt.Tenant, tenant string, m *memory.Memory) (*point, error) {
	content := kept{Memory: *m, Raw: m.Metadata}
	content.Metadata = nil
	p, err := newPoint(k, tenant, kindMemory, m.ID, m.Seq, content)
	if err != nil {
		return nil, err
	}
	for _, f := range keyed {
		if v := f.value(m); v != "" {
			h, err := hashed(k, f.domain, v)
			if err != nil {
				return nil, err
			}
			p.payload[f.name] = qdrant.NewValueString(h)
		}
	}
	for _, f := range times {
		if t := f.value(m); !t.IsZero() {
			p.payload[f.name] = qdrant.NewValueInt(t.UnixMicro())
		}
	}
	p.payload["type"], p.payload["status"] = qdrant.NewValueString(m.Type), qdrant.NewValueString(m.Status)
	p.payload["held"] = qdrant.NewValueString(strconv.FormatBool(m.Held))
	p.payload["hold"] = qdrant.NewValueString(strconv.FormatBool(m.Hold != ""))
	same, err := hashed(k, "content", m.Content)
	if err != nil {
		return nil, err
	}
	p.payload[fieldSame] = qdrant.NewValueString(same)
	labels, err := labelsOf(k, m)
	if err != nil {
		return nil, err
	}
	p.payload[fieldLabels] = texts(labels)
	terms, weights, err := termsOf(k, m.IndexText())
	if err != nil {
		return nil, err
	}
	p.payload[fieldTerms], p.terms = texts(terms), weights
	return p, nil
}

func texts(list []string) *qdrant.Value {
	values := make([]*qdrant.Value, len(list))
	for i, s := range list {
		values[i] = qdrant.NewValueString(s)
	}
	return qdrant.NewValueFromList(values...)
}

// openMemory decodes the point of a memory.
func openMemory(k *crypt.Tenant, p *stored) (*memory.Memory, error) {
	var content kept
	if err := open(k, kindMemory, p, &content); err != nil {
		return nil, err
	}
	content.Memory.Metadata = content.Raw
	return &content.Memory, nil
}

// labelsOf returns the hashes of tags, categories and the members of metadata.
func labelsOf(k *crypt.Tenant, m *memory.Memory) ([]string, error) {
	var list []string
	add := func(domain, value string) error {
		h, err := hashed(k, domain, value)
		if err == nil && !slices.Contains(list, h) {
			list = append(list, h)
		}
		return err
	}
	for _, t := range m.Tags {
		if err := add(hashTag, t); err != nil {
			return nil, err
		}
	}
	for _, c := range m.Category {
		if err := add(hashCategory, c); err != nil {
			return nil, err
		}
	}
	var members map[string]any
	if len(m.Metadata) == 0 || json.Unmarshal(m.Metadata, &members) != nil {
		return list, nil
	}
	for key, v := range members {
		if value, ok := memory.Member(key, v); ok {
			if err := add(hashMember, value); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// The parameters of BM25. The weight of a term stands in the point, so the average length, to which longer
// texts are compared, is a constant.
const (
	k1        = 0.9
	b         = 0.4
	avgLength = 32
)

// termsOf returns the hashes of the terms of a text, and what each weighs in a sparse vector.
func termsOf(k *crypt.Tenant, text string) ([]string, map[uint32]float32, error) {
	counts, length := search.Document(text)
	list, weights := make([]string, 0, len(counts)), make(map[uint32]float32, len(counts))
	for term, n := range counts {
		h, index, err := termOf(k, term)
		if err != nil {
			return nil, nil, err
		}
		tf := float64(n)
		list = append(list, h)
		weights[index] += float32(tf * (k1 + 1) / (tf + k1*(1-b+b*float64(length)/avgLength)))
	}
	slices.Sort(list)
	return list, weights, nil
}

// termOf returns the hash of a term, and its place in sparse vectors.
func termOf(k *crypt.Tenant, term string) (string, uint32, error) {
	h, err := k.Hash("term", term)
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h), binary.BigEndian.Uint32(h), nil
}

// proto returns what is sent of a point.
func (p *point) proto() *qdrant.PointStruct {
	vectors := make(map[string]*qdrant.Vector)
	if len(p.terms) > 0 {
		indices := make([]uint32, 0, len(p.terms))
		for i := range p.terms {
			indices = append(indices, i)
		}
		slices.Sort(indices)
		values := make([]float32, len(indices))
		for i, at := range indices {
			values[i] = p.terms[at]
		}
		vectors[vectorTerms] = qdrant.NewVectorSparse(indices, values)
	}
	if p.dense != nil {
		vectors[vectorDense] = qdrant.NewVectorDense(p.dense)
	}
	return &qdrant.PointStruct{Id: qdrant.NewIDUUID(p.id), Payload: p.payload, Vectors: qdrant.NewVectorsMap(vectors)}
}
