package pii

// Entity is a kind of personal data or secret.
type Entity uint8

// The entities that Scan and Scanner find.
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
	// IPAddress is an IPv4 or IPv6 address in text form (RFC 4291, section 2.2).
	IPAddress
	// AWSAccessKey is an access key id of Amazon Web Services.
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
	// NumEntities is the number of entities, not one of them.
	NumEntities
)

var entityNames = [NumEntities]string{
	EmailAddress: "EMAIL_ADDRESS",
	CreditCard:   "CREDIT_CARD",
	PhoneNumber:  "PHONE_NUMBER",
	USSSN:        "US_SSN",
	IBANCode:     "IBAN_CODE",
	IPAddress:    "IP_ADDRESS",
	AWSAccessKey: "AWS_ACCESS_KEY",
	GitHubToken:  "GITHUB_TOKEN",
	SlackToken:   "SLACK_TOKEN",
	StripeKey:    "STRIPE_KEY",
	OpenAIKey:    "OPENAI_KEY",
	AnthropicKey: "ANTHROPIC_KEY",
	JWT:          "JWT",
	PrivateKey:   "PRIVATE_KEY",
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
