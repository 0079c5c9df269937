package pii

// Entity is a kind of personal data or secret.
type Entity uint8

// The entities that Scan and Scanner find. What each one's grammar, validator and
// context words are, and where its rule comes from, is in docs/entities.md, which
// package catalog has the text of.
const (
	// EmailAddress is an address as mail systems use it (a subset of RFC 5321: no quoted local part, no address literal).
	EmailAddress Entity = iota
	// CreditCard is a payment card number (ISO/IEC 7812) with a valid Luhn digit, issuer and length.
	CreditCard
	// PhoneNumber is a telephone number: E.164, North American, or a common national form.
	PhoneNumber
	// USSSN is a United States social security number that could have been issued.
	USSSN
	// IBANCode is an international bank account number (ISO 13616) with valid check digits and length.
	IBANCode
	// IPAddress is an IPv4 or IPv6 address in text form (RFC 4291, section 2.2), with a zone or prefix length.
	IPAddress
	// MACAddress is a hardware address of 48 or 64 bits (IEEE 802).
	MACAddress
	// URL is a web address that carries credentials or a secret in its query.
	URL
	// Crypto is an address of a Bitcoin or Ethereum wallet.
	Crypto
	// DateOfBirth is a date beside words that say birth.
	DateOfBirth
	// USITIN is a United States individual taxpayer identification number.
	USITIN
	// USPassport is the number of a United States passport.
	USPassport
	// USBankNumber is the number of an account with a bank in the United States.
	USBankNumber
	// USDriverLicense is the number of a driver license of one of the United States.
	USDriverLicense
	// MedicalLicense is a registration number of the United States' Drug Enforcement Administration.
	MedicalLicense
	// UKNHS is a patient's number of the National Health Service.
	UKNHS
	// UKNINO is a national insurance number of the United Kingdom.
	UKNINO
	// ESNIF is a tax number of a Spanish citizen (DNI).
	ESNIF
	// ESNIE is the number of a foreigner in Spain.
	ESNIE
	// ITFiscalCode is an Italian fiscal code.
	ITFiscalCode
	// PLPESEL is a number of the Polish register of persons.
	PLPESEL
	// FIPersonalIdentityCode is a Finnish personal identity code.
	FIPersonalIdentityCode
	// DETaxID is a German tax identification number.
	DETaxID
	// FRNIR is a French social security number.
	FRNIR
	// NLBSN is a Dutch citizen service number.
	NLBSN
	// SEPersonnummer is a Swedish personal or coordination number.
	SEPersonnummer
	// INPAN is an Indian permanent account number.
	INPAN
	// INAadhaar is an Indian Aadhaar number.
	INAadhaar
	// SGNRICFIN is a Singaporean identity card or foreign identification number.
	SGNRICFIN
	// AUABN is an Australian business number.
	AUABN
	// AUACN is an Australian company number.
	AUACN
	// AUTFN is an Australian tax file number.
	AUTFN
	// AUMedicare is the number of an Australian Medicare card.
	AUMedicare
	// KRRRN is a South Korean resident registration number.
	KRRRN
	// BRCPF is a Brazilian taxpayer number of a person.
	BRCPF
	// Custom is a value of a rule that the policy adds ([CustomRule]).
	Custom

	// AWSAccessKey is an access key id of Amazon Web Services, the first of the secrets.
	AWSAccessKey
	// GitHubToken is a personal, OAuth, app or refresh token of GitHub.
	GitHubToken
	// SlackToken is a bot, user, app or configuration token of Slack.
	SlackToken
	// StripeKey is a secret or restricted API key or a webhook secret of Stripe.
	StripeKey
	// OpenAIKey is an API key of OpenAI, or one in its form.
	OpenAIKey
	// AnthropicKey is an API key of Anthropic.
	AnthropicKey
	// JWT is a JSON Web Token in compact form (RFC 7519; RFC 7515 or RFC 7516, section 7.1).
	JWT
	// PrivateKey is a private key in PEM or a similar armour (RFC 7468), the whole block.
	PrivateKey
	// GitLabToken is a personal, deploy, runner or trigger token of GitLab.
	GitLabToken
	// GoogleKey is an API key, OAuth access token or client secret of Google.
	GoogleKey
	// AzureKey is an account or shared access key in a connection string of Microsoft Azure.
	AzureKey
	// AlibabaKey is an access key id of Alibaba Cloud.
	AlibabaKey
	// DigitalOceanToken is a token of DigitalOcean.
	DigitalOceanToken
	// DatabricksToken is an access token of Databricks.
	DatabricksToken
	// NPMToken is an access token of npm.
	NPMToken
	// PyPIToken is an upload token of the Python package index.
	PyPIToken
	// RubyGemsKey is an API key of RubyGems.
	RubyGemsKey
	// DockerToken is an access token of Docker Hub.
	DockerToken
	// HuggingFaceToken is an access token of Hugging Face.
	HuggingFaceToken
	// GroqKey is an API key of Groq.
	GroqKey
	// XAIKey is an API key of xAI.
	XAIKey
	// PerplexityKey is an API key of Perplexity.
	PerplexityKey
	// NVIDIAKey is an API key of NVIDIA.
	NVIDIAKey
	// ReplicateToken is an API token of Replicate.
	ReplicateToken
	// GrafanaToken is a service account or cloud token of Grafana.
	GrafanaToken
	// ShopifyToken is an access token or shared secret of Shopify.
	ShopifyToken
	// SquareToken is an access token or application secret of Square.
	SquareToken
	// SendGridKey is an API key of SendGrid.
	SendGridKey
	// MailgunKey is a private API key of Mailgun.
	MailgunKey
	// TwilioKey is an API key or account id of Twilio.
	TwilioKey
	// TelegramToken is the token of a Telegram bot.
	TelegramToken
	// AtlassianToken is an API token of Atlassian.
	AtlassianToken
	// LinearKey is an API key of Linear.
	LinearKey
	// NotionToken is an integration token of Notion.
	NotionToken
	// PostmanKey is an API key of Postman.
	PostmanKey
	// NewRelicKey is a user key of New Relic.
	NewRelicKey
	// SentryToken is an organization or user token of Sentry.
	SentryToken
	// SupabaseToken is an access token of Supabase.
	SupabaseToken
	// PlanetScaleToken is a token or password of PlanetScale.
	PlanetScaleToken
	// VaultToken is a service or batch token of HashiCorp Vault.
	VaultToken
	// DopplerToken is a token of Doppler.
	DopplerToken
	// PulumiToken is an access token of Pulumi.
	PulumiToken
	// TailscaleKey is an auth or API key of Tailscale.
	TailscaleKey
	// FigmaToken is a personal access token of Figma.
	FigmaToken
	// AgeKey is a secret key of the encryption tool age.
	AgeKey
	// ConnectionString is the address of a database, queue or server with a password in it.
	ConnectionString
	// GenericSecret is a value of high entropy behind a name such as password or api_key.
	GenericSecret

	// NumEntities is the number of entities, not one of them.
	NumEntities
)

var entityNames = [NumEntities]string{
	EmailAddress:           "EMAIL_ADDRESS",
	CreditCard:             "CREDIT_CARD",
	PhoneNumber:            "PHONE_NUMBER",
	USSSN:                  "US_SSN",
	IBANCode:               "IBAN_CODE",
	IPAddress:              "IP_ADDRESS",
	MACAddress:             "MAC_ADDRESS",
	URL:                    "URL",
	Crypto:                 "CRYPTO",
	DateOfBirth:            "DATE_OF_BIRTH",
	USITIN:                 "US_ITIN",
	USPassport:             "US_PASSPORT",
	USBankNumber:           "US_BANK_NUMBER",
	USDriverLicense:        "US_DRIVER_LICENSE",
	MedicalLicense:         "MEDICAL_LICENSE",
	UKNHS:                  "UK_NHS",
	UKNINO:                 "UK_NINO",
	ESNIF:                  "ES_NIF",
	ESNIE:                  "ES_NIE",
	ITFiscalCode:           "IT_FISCAL_CODE",
	PLPESEL:                "PL_PESEL",
	FIPersonalIdentityCode: "FI_PERSONAL_IDENTITY_CODE",
	DETaxID:                "DE_TAX_ID",
	FRNIR:                  "FR_NIR",
	NLBSN:                  "NL_BSN",
	SEPersonnummer:         "SE_PERSONNUMMER",
	INPAN:                  "IN_PAN",
	INAadhaar:              "IN_AADHAAR",
	SGNRICFIN:              "SG_NRIC_FIN",
	AUABN:                  "AU_ABN",
	AUACN:                  "AU_ACN",
	AUTFN:                  "AU_TFN",
	AUMedicare:             "AU_MEDICARE",
	KRRRN:                  "KR_RRN",
	BRCPF:                  "BR_CPF",
	Custom:                 "CUSTOM",
	AWSAccessKey:           "AWS_ACCESS_KEY",
	GitHubToken:            "GITHUB_TOKEN",
	SlackToken:             "SLACK_TOKEN",
	StripeKey:              "STRIPE_KEY",
	OpenAIKey:              "OPENAI_KEY",
	AnthropicKey:           "ANTHROPIC_KEY",
	JWT:                    "JWT",
	PrivateKey:             "PRIVATE_KEY",
	GitLabToken:            "GITLAB_TOKEN",
	GoogleKey:              "GOOGLE_KEY",
	AzureKey:               "AZURE_KEY",
	AlibabaKey:             "ALIBABA_KEY",
	DigitalOceanToken:      "DIGITALOCEAN_TOKEN",
	DatabricksToken:        "DATABRICKS_TOKEN",
	NPMToken:               "NPM_TOKEN",
	PyPIToken:              "PYPI_TOKEN",
	RubyGemsKey:            "RUBYGEMS_KEY",
	DockerToken:            "DOCKER_TOKEN",
	HuggingFaceToken:       "HUGGINGFACE_TOKEN",
	GroqKey:                "GROQ_KEY",
	XAIKey:                 "XAI_KEY",
	PerplexityKey:          "PERPLEXITY_KEY",
	NVIDIAKey:              "NVIDIA_KEY",
	ReplicateToken:         "REPLICATE_TOKEN",
	GrafanaToken:           "GRAFANA_TOKEN",
	ShopifyToken:           "SHOPIFY_TOKEN",
	SquareToken:            "SQUARE_TOKEN",
	SendGridKey:            "SENDGRID_KEY",
	MailgunKey:             "MAILGUN_KEY",
	TwilioKey:              "TWILIO_KEY",
	TelegramToken:          "TELEGRAM_TOKEN",
	AtlassianToken:         "ATLASSIAN_TOKEN",
	LinearKey:              "LINEAR_KEY",
	NotionToken:            "NOTION_TOKEN",
	PostmanKey:             "POSTMAN_KEY",
	NewRelicKey:            "NEWRELIC_KEY",
	SentryToken:            "SENTRY_TOKEN",
	SupabaseToken:          "SUPABASE_TOKEN",
	PlanetScaleToken:       "PLANETSCALE_TOKEN",
	VaultToken:             "VAULT_TOKEN",
	DopplerToken:           "DOPPLER_TOKEN",
	PulumiToken:            "PULUMI_TOKEN",
	TailscaleKey:           "TAILSCALE_KEY",
	FigmaToken:             "FIGMA_TOKEN",
	AgeKey:                 "AGE_KEY",
	ConnectionString:       "CONNECTION_STRING",
	GenericSecret:          "GENERIC_SECRET",
}

// String returns the entity's name, such as "EMAIL_ADDRESS", or "UNKNOWN".
func (e Entity) String() string {
	if e >= NumEntities {
		return "UNKNOWN"
	}
	return entityNames[e]
}

// ParseEntity returns the entity that has exactly this name.
func ParseEntity(name string) (Entity, bool) {
	for e, n := range entityNames {
		if n == name {
			return Entity(e), true
		}
	}
	return NumEntities, false
}

// Secret reports whether e is a credential rather than personal data. A value that
// is recognized as one is never given up for another.
func (e Entity) Secret() bool { return e >= AWSAccessKey && e < NumEntities }
