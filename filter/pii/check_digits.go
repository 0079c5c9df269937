package pii

// Checks of values that are digits alone. The digits are given by their values.

// weigh returns the sum of the digits, each times its weight.
func weigh(d []byte, weights ...int) int {
	sum := 0
	for k, w := range weights {
		sum += int(d[k]) * w
	}
	return sum
}

// itin checks a taxpayer's number: 9, and the ranges of the fourth and fifth digit
// that the Internal Revenue Service assigns.
func itin(d []byte) bool {
	m := int(d[3])*10 + int(d[4])
	return d[0] == 9 && (m >= 50 && m <= 65 || m >= 70 && m <= 88 || m >= 90 && m <= 92 || m >= 94)
}

// bsn checks a Dutch number: a weighted sum that 11 divides, the last weight negative.
func bsn(d []byte) bool {
	sum := weigh(d, 9, 8, 7, 6, 5, 4, 3, 2, -1)
	return sum%11 == 0 && sum != 0
}

// acn checks an Australian company number: the complement of a weighted sum modulo 10.
func acn(d []byte) bool {
	return (10-weigh(d, 8, 7, 6, 5, 4, 3, 2, 1)%10)%10 == int(d[8])
}

// tfn checks an Australian tax file number: a weighted sum that 11 divides.
func tfn(d []byte) bool {
	sum := weigh(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)
	return sum%11 == 0 && sum != 0
}

// abn checks an Australian business number: a weighted sum that 89 divides, after the
// first digit is lowered by one.
func abn(d []byte) bool {
	return d[0] > 0 && (weigh(d, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
}

// medicare checks an Australian card number: it begins with 2 to 6, and the ninth digit
// is a weighted sum of the first eight modulo 10.
func medicare(d []byte) bool {
	return d[0] >= 2 && d[0] <= 6 && weigh(d, 1, 3, 7, 9, 1, 3, 7, 9)%10 == int(d[8])
}

// nhs checks a patient's number: 11 minus a weighted sum modulo 11.
func nhs(d []byte) bool {
	sum := weigh(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)
	check := (11 - sum%11) % 11
	return sum != 0 && check != 10 && check == int(d[9])
}

// pesel checks a Polish number: a date, in whose month the century is, and a weighted sum.
func pesel(d []byte) bool {
	month, day := (int(d[2])*10+int(d[3]))%20, int(d[4])*10+int(d[5])
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
		(10-weigh(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10 == int(d[10])
}

// germanTax checks a German tax number: among the first ten digits one stands two or
// three times, and the last is a check digit by ISO 7064, MOD 11,10.
func germanTax(d []byte) bool {
	if d[0] == 0 {
		return false
	}
	var count [10]int
	product := 10
	for _, x := range d[:10] {
		count[x]++
		sum := (int(x) + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	repeated := 0
	for _, n := range count {
		switch {
		case n > 3:
			return false
		case n > 1:
			repeated++
		}
	}
	return repeated == 1 && (11-product)%10 == int(d[10])
}

// cpf checks a Brazilian number: two check digits, and not one digit repeated.
func cpf(d []byte) bool {
	same := true
	for _, x := range d[1:11] {
		same = same && x == d[0]
	}
	check := func(n int) bool {
		sum := 0
		for k, x := range d[:n] {
			sum += int(x) * (n + 1 - k)
		}
		return sum*10%11%10 == int(d[n])
	}
	return !same && check(9) && check(10)
}

// aadhaar checks an Indian number by the algorithm of Verhoeff. It begins with 2 to 9
// and is no palindrome.
func aadhaar(d []byte) bool {
	if d[0] < 2 {
		return false
	}
	palindrome := true
	for k := range 6 {
		palindrome = palindrome && d[k] == d[11-k]
	}
	if palindrome {
		return false
	}
	// Multiplication in the dihedral group of order 10, and the permutation of the digits.
	multiply := func(a, b int) int {
		switch {
		case a < 5 && b < 5:
			return (a + b) % 5
		case a < 5:
			return 5 + (a+b)%5
		case b < 5:
			return 5 + (a-b)%5
		}
		return (a - b + 5) % 5
	}
	permuted := [10]int{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
	c := 0
	for k := range 12 {
		x := int(d[11-k])
		for range k % 8 {
			x = permuted[x]
		}
		c = multiply(c, x)
	}
	return c == 0
}

// personnummer checks a Swedish number of ten digits: a date, in a coordination number
// with 60 more days, and a digit by Luhn.
func personnummer(d []byte) bool {
	month, day := int(d[2])*10+int(d[3]), int(d[4])*10+int(d[5])
	if day > 60 {
		day -= 60
	}
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 && luhn(d[:10])
}

// rrn says whether a South Korean number can be one: a date, and a digit for the
// century and sex.
func rrn(d []byte) bool {
	month, day := int(d[2])*10+int(d[3]), int(d[4])*10+int(d[5])
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 && d[6] >= 1 && d[6] <= 8
}

// rrnCheck checks its last digit, which numbers given since October 2020 do not have.
func rrnCheck(d []byte) bool {
	return (11-weigh(d, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10 == int(d[12])
}

// nirStart says whether a French number can begin so: a sex, a year and a month.
func nirStart(d []byte) bool {
	return (d[0] == 1 || d[0] == 2) && nirMonth(int(d[3])*10+int(d[4]))
}
