package pii

import "testing"

// A date is one of birth beside a word that says so, however its day is written.
func TestDateOfBirth(t *testing.T) {
	for _, s := range []string{
		"born on the [DATE_OF_BIRTH:3rd of March 1990].", "Born [DATE_OF_BIRTH:March 3rd, 1990]!", "dob: [DATE_OF_BIRTH:21st May 1985], Leeds",
		"her birthday is [DATE_OF_BIRTH:2nd of November, 1979]", "birthday: [DATE_OF_BIRTH:December 22nd 2001]", "born [DATE_OF_BIRTH:Sept. 11th, 1955] in", "born the [DATE_OF_BIRTH:30th September 1961]",
		"née le [DATE_OF_BIRTH:1er mars 1990]", "nacido el [DATE_OF_BIRTH:1º de enero de 1990]", "nato il [DATE_OF_BIRTH:1° gennaio 1990]",
		"born [DATE_OF_BIRTH:1990-062].", "date of birth [DATE_OF_BIRTH:1985-366], as in ISO 8601",
		"born [DATE_OF_BIRTH:12 March 1985]", "born [DATE_OF_BIRTH:March 12, 1985]", "geboren am [DATE_OF_BIRTH:3. Mai 1990]", "born 1985-05-12T", "born [DATE_OF_BIRTH:5/12/1985]",
		// Not of birth, or no date.
		"on the 3rd of March 1990", "March 3rd, 1990", "born in the 3rd of 4 wards in 1990", "born the 3rd of March", "born the 33rd of March 1990", "born the 3rdly March 1990",
		"born the 1st in the 1990s", "born 1990-367", "born 1990-000", "born 1790-062", "due 1990-062", "born 3th of 1990", "the 21st birthday",
	} {
		expect(t, s)
	}
}
