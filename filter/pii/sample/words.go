package sample

var firstNames = []string{"Anna", "Ben", "Clara", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kavya", "Liam", "Maria", "Noah", "Olga", "Paul", "Rosa", "Samir", "Tessa", "Yuki"}

var lastNames = []string{"Becker", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hughes", "Ivanov", "Jensen", "Khan", "Lopez", "Moretti", "Novak", "Okafor", "Patel", "Rossi", "Silva", "Tanaka", "Weber", "Young"}

// Labels are the words that stand before a value of each entity in a record.
var Labels = map[string][]string{
	"EMAIL_ADDRESS":             {"email", "e-mail", "contact", "from"},
	"CREDIT_CARD":               {"card", "credit card", "card number", "payment card"},
	"PHONE_NUMBER":              {"phone", "mobile", "tel", "call me at", "fax"},
	"US_SSN":                    {"SSN", "social security number", "ssn"},
	"IBAN_CODE":                 {"IBAN", "bank account", "transfer to"},
	"IP_ADDRESS":                {"ip", "client address", "host", "from"},
	"MAC_ADDRESS":               {"mac", "hardware address", "device"},
	"URL":                       {"url", "clone from", "endpoint"},
	"CRYPTO":                    {"wallet", "send bitcoin to", "crypto address"},
	"DATE_OF_BIRTH":             {"date of birth", "DOB", "born on", "birthday"},
	"US_ITIN":                   {"ITIN", "individual taxpayer number"},
	"US_PASSPORT":               {"passport", "US passport number", "passport no."},
	"US_BANK_NUMBER":            {"bank account", "checking account number", "account"},
	"US_DRIVER_LICENSE":         {"driver license", "driver's license number", "DL"},
	"MEDICAL_LICENSE":           {"DEA number", "medical license", "DEA"},
	"UK_NHS":                    {"NHS number", "NHS", "patient number"},
	"UK_NINO":                   {"NINO", "national insurance number", "NI number"},
	"ES_NIF":                    {"NIF", "DNI", "mi DNI es"},
	"ES_NIE":                    {"NIE", "número de identidad"},
	"IT_FISCAL_CODE":            {"codice fiscale", "CF", "fiscal code"},
	"PL_PESEL":                  {"PESEL", "numer PESEL"},
	"FI_PERSONAL_IDENTITY_CODE": {"henkilötunnus", "HETU", "personal identity code"},
	"DE_TAX_ID":                 {"Steuer-ID", "Steueridentifikationsnummer", "Identifikationsnummer", "tax ID"},
	"FR_NIR":                    {"numéro de sécurité sociale", "NIR", "sécu"},
	"NL_BSN":                    {"BSN", "burgerservicenummer"},
	"SE_PERSONNUMMER":           {"personnummer", "pnr"},
	"IN_PAN":                    {"PAN", "permanent account number", "PAN card"},
	"IN_AADHAAR":                {"Aadhaar", "Aadhaar number", "UIDAI"},
	"SG_NRIC_FIN":               {"NRIC", "FIN", "identification number"},
	"AU_ABN":                    {"ABN", "business number"},
	"AU_ACN":                    {"ACN", "company number"},
	"AU_TFN":                    {"TFN", "tax file number"},
	"AU_MEDICARE":               {"Medicare", "Medicare number", "medicare card"},
	"KR_RRN":                    {"주민등록번호", "resident registration number", "RRN"},
	"BR_CPF":                    {"CPF", "meu CPF é"},
	"AZURE_KEY":                 {"AccountKey", "SharedAccessKey"},
	"CONNECTION_STRING":         {"database", "dsn", "connect to"},
	"GENERIC_SECRET":            {"password", "api_key", "client_secret", "auth_token", "SECRET_KEY"},
}

// Label draws a label of the entity; a secret that shows by itself has a plain one.
func (r Rand) Label(entity string) string {
	if list := Labels[entity]; len(list) > 0 {
		return r.Pick(list...)
	}
	return r.Pick("key", "token", "use", "value")
}
