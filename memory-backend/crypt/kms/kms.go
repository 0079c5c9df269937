// Package kms opens master keys in key management services: HashiCorp Vault's transit engine, AWS KMS and
// Google Cloud KMS, through Tink's integrations.
//
// It is apart from crypt so that only a program that offers them links their clients.
package kms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/memgate/memgate/memory-backend/crypt"
)

// Schemes of the URIs.
const (
	vault      = "hcvault://"      // hcvault://HOST:PORT/MOUNT/keys/NAME, by TLS
	vaultPlain = "hcvault+http://" // the same without TLS, on loopback only, for an agent beside the service
	aws        = "aws-kms://"      // aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID
	gcp        = "gcp-kms://"      // gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K
)

// Openers returns what opens the master keys of all services. Credentials come from where each service's
// own tools find them, through env for Vault: VAULT_TOKEN or the file that VAULT_TOKEN_FILE names.
func Openers(env func(string) (string, bool)) crypt.Openers {
	openVault := func(_ context.Context, uri string) (crypt.Master, error) { return newVault(uri, env) }
	return crypt.Openers{
		vault:      openVault,
		vaultPlain: openVault,
		aws: func(ctx context.Context, uri string) (crypt.Master, error) {
			a, err := awskms.NewAEADWithContext(ctx, strings.TrimPrefix(uri, aws))
			return service(uri, a, err)
		},
		gcp: func(ctx context.Context, uri string) (crypt.Master, error) {
			a, err := gcpkms.GetAEADWithContext(ctx, uri)
			return service(uri, a, err)
		},
	}
}

func service(uri string, a tink.AEADWithContext, err error) (crypt.Master, error) {
	if err != nil {
		return nil, fmt.Errorf("kms: %s: %w", uri, err)
	}
	return crypt.Service(uri, a), nil
}

// vaultKey is a key of Vault's transit engine.
type vaultKey struct {
	aead   tink.AEAD
	client *api.Client
	file   string // that holds the token; "" for none
}

func newVault(uri string, env func(string) (string, bool)) (crypt.Master, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("kms: a Vault key is named hcvault://HOST:PORT/MOUNT/keys/NAME")
	}
	address := "https://" + u.Host
	if strings.HasPrefix(uri, vaultPlain) {
		if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
			return nil, errors.New("kms: " + vaultPlain + " is for loopback addresses: use " + vault)
		}
		address = "http://" + u.Host
	}
	config := api.DefaultConfig() // with the authorities that VAULT_CACERT and others name
	if config.Error != nil {
		return nil, fmt.Errorf("kms: Vault: %w", config.Error)
	}
	config.Address, config.Timeout, config.MaxRetries = address, 4*time.Second, 1
	config.AgentAddress = ""
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("kms: Vault: %w", err)
	}
	k := &vaultKey{client: client}
	if k.file, _ = env("VAULT_TOKEN_FILE"); k.file == "" {
		token, _ := env("VAULT_TOKEN")
		client.SetToken(token)
	}
	if k.aead, err = hcvault.NewAEAD(u.EscapedPath(), client.Logical()); err != nil {
		return nil, fmt.Errorf("kms: Vault: %w: a key is named /MOUNT/keys/NAME", err)
	}
	return crypt.Service(uri, k), nil
}

// login takes the token from its file, as an agent may have renewed it.
func (k *vaultKey) login() error {
	if k.file == "" {
		return nil
	}
	token, err := os.ReadFile(k.file)
	if err == nil {
		k.client.SetToken(strings.TrimSpace(string(token)))
	}
	return err
}

// EncryptWithContext implements tink.AEADWithContext. The client heeds its own timeout, not the context.
func (k *vaultKey) EncryptWithContext(_ context.Context, plaintext, bound []byte) ([]byte, error) {
	if err := k.login(); err != nil {
		return nil, err
	}
	return k.aead.Encrypt(plaintext, bound)
}

// DecryptWithContext implements tink.AEADWithContext.
func (k *vaultKey) DecryptWithContext(_ context.Context, ciphertext, bound []byte) ([]byte, error) {
	if err := k.login(); err != nil {
		return nil, err
	}
	return k.aead.Decrypt(ciphertext, bound)
}
