package pii

import "strings"

// listContextWords returns the words that adjust looks for.
func listContextWords() []contextWord {
	const (
		card  = 1 << CreditCard
		phone = 1 << PhoneNumber
		ssn   = 1 << USSSN
		iban  = 1 << IBANCode
		ip    = 1 << IPAddress
	)
	var list []contextWord
	add := func(w contextWord, words string) {
		for word := range strings.FieldsSeq(words) {
			w.word = word
			list = append(list, w)
		}
	}
	add(contextWord{pro: phone}, `phone phones telephone tel telefon teléfono telefono téléphone tél fone fon
		mobile mobil móvil movil celular cellphone fax dial sms whatsapp hotline landline voicemail callback
		msisdn rufnummer 电话 手机 電話 携帯 전화 телефон`)
	add(contextWord{perhaps: phone}, `call calls called calling ring text contact reach portable handy cell`)
	add(contextWord{pro: ssn}, `ssn ssns social security ss tin taxpayer itin`)
	add(contextWord{pro: card}, `card cards credit debit visa mastercard amex discover maestro jcb diners pan cc
		creditcard payment tarjeta karte kreditkarte carte cartão`)
	add(contextWord{pro: ip}, `ip ips ipv ipaddress address host hosts server gateway subnet dns ping addr client
		router localhost remote network`)
	add(contextWord{pro: iban}, `iban account konto bank swift bic`)
	add(contextWord{contra: ip}, `version versions release build firmware ver section chapter upgrade upgraded oid
		clause paragraph`)
	add(contextWord{contra: phone | ssn | card}, `order orders invoice ticket tracking sku isbn serial part case
		reference ref transaction product item model id uuid hash commit timestamp doi issn ean upc`)
	add(contextWord{possessive: true}, `my his her your their our`)
	add(contextWord{number: true}, `number numbers`)
	return list
}
