package pii

import "strings"

// What context words speak of. Entities that nothing speaks of have subNone.
const (
	subNone uint8 = iota
	subPhone
	subSSN
	subCard
	subIBAN
	subIP
	subITIN
	subPassport
	subBank
	subDriver
	subMedical
	subNHS
	subNINO
	subNIF
	subFiscal
	subPESEL
	subHETU
	subDETax
	subNIR
	subBSN
	subSE
	subPAN
	subAadhaar
	subNRIC
	subABN
	subACN
	subTFN
	subMedicare
	subRRN
	subCPF
	subBirth
	subWallet
)

// subjects tells what the words about an entity speak of.
var subjects = [NumEntities]uint8{
	PhoneNumber: subPhone, USSSN: subSSN, CreditCard: subCard, IBANCode: subIBAN, IPAddress: subIP, USITIN: subITIN,
	USPassport: subPassport, USBankNumber: subBank, USDriverLicense: subDriver, MedicalLicense: subMedical,
	UKNHS: subNHS, UKNINO: subNINO, ESNIF: subNIF, ESNIE: subNIF, ITFiscalCode: subFiscal, PLPESEL: subPESEL,
	FIPersonalIdentityCode: subHETU, DETaxID: subDETax, FRNIR: subNIR, NLBSN: subBSN, SEPersonnummer: subSE,
	INPAN: subPAN, INAadhaar: subAadhaar, SGNRICFIN: subNRIC, AUABN: subABN, AUACN: subACN, AUTFN: subTFN,
	AUMedicare: subMedicare, KRRRN: subRRN, BRCPF: subCPF, DateOfBirth: subBirth, Crypto: subWallet,
}

// listContextWords returns the words that adjust looks for.
func listContextWords() []contextWord {
	var list []contextWord
	at := map[string]int{}
	add := func(w contextWord, words string) {
		for word := range strings.FieldsSeq(words) {
			n, ok := at[word]
			if !ok {
				n = len(list)
				at[word] = n
				list = append(list, contextWord{word: word})
			}
			x := &list[n]
			x.pro |= w.pro
			x.perhaps |= w.perhaps
			x.contra |= w.contra
			x.possessive = x.possessive || w.possessive
			x.number = x.number || w.number
		}
	}
	pro := func(subject uint8, words string) { add(contextWord{pro: 1 << subject}, words) }

	pro(subPhone, `phone phones telephone tel telefon teléfono telefono téléphone tél fone fon
		mobile mobil móvil movil celular cellphone fax dial sms whatsapp hotline landline voicemail callback
		msisdn rufnummer cellulare portatile telefoon puhelin gsm mob 电话 手机 電話 携帯 전화 телефон`)
	add(contextWord{perhaps: 1 << subPhone}, `call calls called calling ring text contact reach portable handy cell`)
	pro(subSSN, `ssn ssns social security ss tin taxpayer`)
	pro(subITIN, `itin taxpayer tin individual tax`)
	pro(subCard, `card cards credit debit visa mastercard amex discover maestro jcb diners pan cc
		creditcard payment tarjeta karte kreditkarte carte cartão carta creditcardnumber`)
	pro(subIP, `ip ips ipv ipaddress address host hosts server gateway subnet dns ping addr client
		router localhost remote network`)
	pro(subIBAN, `iban account konto bank swift bic`)
	pro(subPassport, `passport passports passeport pasaporte reisepass travel`)
	pro(subBank, `bank account accounts acct banking checking savings deposit routing aba debit ach wire transfer`)
	pro(subDriver, `driver drivers driver's driving dl license licence dmv`)
	pro(subMedical, `medical dea prescriber physician doctor certificate license licence npi practitioner pharmacy`)
	pro(subNHS, `nhs patient national health hospital gp`)
	pro(subNINO, `nino insurance ni national`)
	pro(subNIF, `nif dni nie identidad documento fiscal cif extranjero`)
	pro(subFiscal, `codice fiscale cf fiscal`)
	pro(subPESEL, `pesel ewidencyjny`)
	pro(subHETU, `hetu henkilötunnus henkilotunnus personbeteckning identity`)
	pro(subDETax, `steuer steuerid steueridentifikationsnummer steueridnummer identifikationsnummer idnr steuernummer steuerliche tax tin idnummer`)
	pro(subNIR, `nir insee sécurité securite sociale sécu secu immatriculation nss`)
	pro(subBSN, `bsn burgerservicenummer sofi sofinummer citizen burger`)
	pro(subSE, `personnummer samordningsnummer personnr pnr`)
	pro(subPAN, `pan permanent tax`)
	pro(subAadhaar, `aadhaar aadhar uidai uid adhaar आधार`)
	pro(subNRIC, `nric fin identification singapore`)
	pro(subABN, `abn business`)
	pro(subACN, `acn company`)
	pro(subTFN, `tfn tax`)
	pro(subMedicare, `medicare`)
	pro(subRRN, `rrn jumin resident registration 주민등록번호 주민번호 주민등록`)
	pro(subCPF, `cpf cadastro contribuinte`)
	pro(subBirth, `birth born dob birthday birthdate bday geboren geburtsdatum geb geburtstag naissance né née nacimiento nacido nacida
		nascita nato nata nascimento nascido nascida geboortedatum født född syntynyt urodzenia birthdays dateofbirth 出生 生年月日 생년월일`)
	pro(subWallet, `wallet bitcoin btc ethereum eth crypto blockchain`)
	add(contextWord{contra: 1 << subIP}, `version versions release build firmware ver section chapter upgrade upgraded oid
		clause paragraph`)
	const numbered = 1<<subPhone | 1<<subSSN | 1<<subCard
	add(contextWord{contra: numbered}, `part case reference ref transaction product item model id`)
	const national = 1<<subITIN | 1<<subPassport | 1<<subBank | 1<<subNHS | 1<<subPESEL | 1<<subDETax | 1<<subNIR | 1<<subBSN |
		1<<subSE | 1<<subAadhaar | 1<<subABN | 1<<subACN | 1<<subTFN | 1<<subMedicare | 1<<subRRN | 1<<subCPF | 1<<subDriver
	add(contextWord{contra: numbered | national}, `order orders invoice ticket tracking sku isbn serial uuid hash commit timestamp doi issn ean upc`)
	add(contextWord{possessive: true}, `my his her your their our`)
	add(contextWord{number: true}, `number numbers`)
	return list
}
