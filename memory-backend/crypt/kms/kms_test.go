package kms_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/crypt/kms"
)

var ctx = context.Background()

// seal and open are what a service does with a key that it never shows.
func key(t *testing.T) cipher.AEAD {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}

func decode(s any) []byte {
	text, _ := s.(string)
	b, _ := base64.StdEncoding.DecodeString(text)
	return b
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// transit is Vault's transit engine, as far as encrypt and decrypt go.
type transit struct {
	http.Handler
	token atomic.Value
	down  atomic.Bool
	slow  atomic.Bool
}

func newTransit(t *testing.T) (*transit, *httptest.Server) {
	gcm, v := key(t), new(transit)
	v.token.Store("t0ken")
	v.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in)
		if v.slow.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the client is gone
			<-r.Context().Done()
			return
		}
		switch {
		case v.down.Load():
			http.Error(w, `{"errors":["Vault is sealed"]}`, http.StatusServiceUnavailable)
			return
		case r.Header.Get("X-Vault-Token") != v.token.Load():
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		out := map[string]any{}
		switch r.URL.Path {
		case "/v1/transit/encrypt/memories":
			out["ciphertext"] = "vault:v1:" + encode(gcm.Seal(nil, nil, decode(in["plaintext"]), decode(in["associated_data"])))
		case "/v1/transit/decrypt/memories":
			text, _ := in["ciphertext"].(string)
			plain, err := gcm.Open(nil, nil, decode(strings.TrimPrefix(text, "vault:v1:")), decode(in["associated_data"]))
			if err != nil {
				http.Error(w, `{"errors":["invalid ciphertext"]}`, http.StatusBadRequest)
				return
			}
			out["plaintext"] = encode(plain)
		default:
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": out})
	})
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	return v, s
}

// tenants uses a master key as the service does: keys of a tenant are made, and read by another process.
func tenants(t *testing.T, m crypt.Master) {
	t.Helper()
	dir := t.TempDir()
	ring := func() *crypt.Keyring {
		k, err := crypt.OpenKeyring(crypt.Config{Dir: dir, Masters: []crypt.Master{m}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, err := ring().Create(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := a.Seal("f", "r", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ring().Tenant(ctx, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open("f", "r", sealed); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	wrapped, err := m.EncryptWithContext(ctx, []byte("x"), []byte("bound"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.DecryptWithContext(ctx, wrapped, []byte("elsewhere")); err == nil {
		t.Error("what was wrapped for one tenant opens for another")
	}
}

func TestVault(t *testing.T) {
	v, s := newTransit(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	uri := strings.Replace(s.URL, "http://", "hcvault+http://", 1) + "/transit/keys/memories"
	for name, env := range map[string]map[string]string{"variable": {"VAULT_TOKEN": "t0ken"}, "file": {"VAULT_TOKEN_FILE": token}} {
		t.Run(name, func(t *testing.T) {
			m, err := kms.Openers(func(n string) (string, bool) { v, ok := env[n]; return v, ok }).Open(ctx, uri, false)
			if err != nil {
				t.Fatal(err)
			}
			if m.URI() != uri {
				t.Errorf("URI %s", m.URI())
			}
			tenants(t, m)
			v.down.Store(true)
			_, err = m.EncryptWithContext(ctx, []byte("x"), nil)
			v.down.Store(false)
			if !errors.Is(err, crypt.ErrUnavailable) {
				t.Errorf("sealed: %v", err)
			}
			if name == "file" {
				v.token.Store("renewed")
				if _, err = m.EncryptWithContext(ctx, []byte("x"), nil); !errors.Is(err, crypt.ErrUnavailable) || strings.Contains(err.Error(), "t0ken") {
					t.Errorf("an old token: %v", err)
				}
				if err := os.WriteFile(token, []byte("renewed"), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err = m.EncryptWithContext(ctx, []byte("x"), nil); err != nil {
					t.Errorf("a renewed token: %v", err)
				}
			}
			v.slow.Store(true)
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, err = m.EncryptWithContext(short, []byte("x"), nil)
			v.slow.Store(false)
			if !errors.Is(err, crypt.ErrUnavailable) {
				t.Errorf("slow: %v", err)
			}
			v.token.Store("t0ken")
		})
	}
}

func TestURIs(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, uri := range []string{"hcvault://", "hcvault://host", "hcvault://host/transit/memories", "hcvault://user:pass@host/transit/keys/k",
		"hcvault+http://10.0.0.1/transit/keys/k", "hcvault+http://vault/transit/keys/k", "aws-kms://nonsense", "gcp-kms://nonsense"} {
		if m, err := kms.Openers(none).Open(ctx, uri, false); err == nil {
			t.Errorf("%s was opened as %s", uri, m.URI())
		}
	}
}

// TestAWS speaks to a service that answers as AWS KMS does.
func TestAWS(t *testing.T) {
	gcm := key(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyID             string `json:"KeyId"`
			Plaintext         string
			CiphertextBlob    string
			EncryptionContext map[string]string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		bound, _ := json.Marshal(in.EncryptionContext)
		out := map[string]string{"KeyId": in.KeyID}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			out["CiphertextBlob"] = encode(gcm.Seal(nil, nil, decode(in.Plaintext), bound))
		case "TrentService.Decrypt":
			plain, err := gcm.Open(nil, nil, decode(in.CiphertextBlob), bound)
			if err != nil {
				w.Header().Set("X-Amzn-ErrorType", "InvalidCiphertextException")
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			out["Plaintext"] = encode(plain)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	m, err := kms.Openers(os.LookupEnv).Open(ctx, "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", false)
	if err != nil {
		t.Fatal(err)
	}
	tenants(t, m)
	s.Close()
	if _, err := m.EncryptWithContext(ctx, []byte("x"), nil); !errors.Is(err, crypt.ErrUnavailable) {
		t.Errorf("gone: %v", err)
	}
}

// googleKMS answers as Google Cloud KMS does for one key.
type googleKMS struct {
	kmspb.UnimplementedKeyManagementServiceServer
	aead cipher.AEAD
	name string
}

func checksum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

func (g *googleKMS) Encrypt(_ context.Context, r *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	if r.Name != g.name {
		return nil, status.Error(codes.NotFound, "no such key")
	}
	sealed := g.aead.Seal(nil, nil, r.Plaintext, r.AdditionalAuthenticatedData)
	return &kmspb.EncryptResponse{Name: g.name + "/cryptoKeyVersions/1", Ciphertext: sealed, CiphertextCrc32C: checksum(sealed),
		VerifiedPlaintextCrc32C: true, VerifiedAdditionalAuthenticatedDataCrc32C: true}, nil
}

func (g *googleKMS) Decrypt(_ context.Context, r *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	plain, err := g.aead.Open(nil, nil, r.Ciphertext, r.AdditionalAuthenticatedData)
	if err != nil || r.Name != g.name {
		return nil, status.Error(codes.InvalidArgument, "decryption failed")
	}
	return &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: checksum(plain)}, nil
}

// TestGoogle speaks to a service that answers as Google Cloud KMS does.
func TestGoogle(t *testing.T) {
	const name = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, &googleKMS{aead: key(t), name: name})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	// The integration offers no other way to another address for those who open a key by its URI.
	was := gcpkms.DefaultOptions
	t.Cleanup(func() { gcpkms.DefaultOptions = was })
	gcpkms.DefaultOptions = append(was[:len(was):len(was)], gcpkms.WithGoogleAPIClientOptions(option.WithEndpoint(listener.Addr().String()),
		option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))))
	m, err := kms.Openers(os.LookupEnv).Open(ctx, "gcp-kms://"+name, false)
	if err != nil {
		t.Fatal(err)
	}
	tenants(t, m)
	server.Stop()
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := m.EncryptWithContext(short, []byte("x"), nil); !errors.Is(err, crypt.ErrUnavailable) {
		t.Errorf("gone: %v", err)
	}
}
