package sample

import (
	"fmt"
	"strings"
)

// Values draws a value of each entity, by the entity's name.
var Values = map[string]func(Rand) string{
	"EMAIL_ADDRESS":             email,
	"CREDIT_CARD":               card,
	"PHONE_NUMBER":              phone,
	"US_SSN":                    ssn,
	"IBAN_CODE":                 iban,
	"IP_ADDRESS":                ip,
	"MAC_ADDRESS":               mac,
	"URL":                       address,
	"CRYPTO":                    wallet,
	"DATE_OF_BIRTH":             birth,
	"US_ITIN":                   itin,
	"US_PASSPORT":               func(r Rand) string { return r.Pick(r.Digits(9), r.From(capitals, 1)+r.Digits(8)) },
	"US_BANK_NUMBER":            func(r Rand) string { return "1" + r.Digits(9+r.IntN(6)) },
	"US_DRIVER_LICENSE":         func(r Rand) string { return r.Pick(r.Shape("A9999999"), r.Shape("A999999999999")) },
	"MEDICAL_LICENSE":           dea,
	"UK_NHS":                    nhs,
	"UK_NINO":                   nino,
	"ES_NIF":                    nif,
	"ES_NIE":                    nie,
	"IT_FISCAL_CODE":            fiscal,
	"PL_PESEL":                  pesel,
	"FI_PERSONAL_IDENTITY_CODE": hetu,
	"DE_TAX_ID":                 germanTax,
	"FR_NIR":                    nir,
	"NL_BSN":                    bsn,
	"SE_PERSONNUMMER":           personnummer,
	"IN_PAN":                    func(r Rand) string { return r.From(capitals, 3) + r.From("ABCFGHJLPT", 1) + r.Shape("A9999A") },
	"IN_AADHAAR":                aadhaar,
	"SG_NRIC_FIN":               nric,
	"AU_ABN":                    abn,
	"AU_ACN":                    acn,
	"AU_TFN":                    tfn,
	"AU_MEDICARE":               medicare,
	"KR_RRN":                    rrn,
	"BR_CPF":                    cpf,
}

func email(r Rand) string {
	local := r.Pick(r.Pick(firstNames...)+"."+r.Pick(lastNames...), r.Pick(firstNames...)+r.Digits(2), r.From(small, 1)+"_"+r.Pick(lastNames...), r.Pick("info", "sales", "support")+"+"+r.From(small, 4))
	host := r.From(small, 3+r.IntN(7)) + r.Pick("", "-"+r.From(small, 3))
	return strings.ToLower(local) + "@" + r.Pick("", "mail.", "eu.") + host + r.Pick(".com", ".org", ".net", ".de", ".co.uk", ".io", ".fr", ".com.br", ".jp")
}

func card(r Rand) string {
	kind := []struct {
		prefix string
		n      int
		sizes  []int
	}{
		{"4", 16, []int{4, 4, 4, 4}}, {"5" + r.From("12345", 1), 16, []int{4, 4, 4, 4}}, {r.Pick("34", "37"), 15, []int{4, 6, 5}},
		{"6011", 16, []int{4, 4, 4, 4}}, {"35" + r.From("3456", 1), 16, []int{4, 4, 4, 4}}, {"36", 14, []int{4, 6, 4}},
	}[r.IntN(6)]
	s := until(func() string { return kind.prefix + r.Digits(kind.n-len(kind.prefix)) }, luhn)
	return r.Pick(s, grouped(s, " ", kind.sizes...), grouped(s, "-", kind.sizes...))
}

func phone(r Rand) string {
	us := func(sep string) string {
		return r.From("23456789", 1) + r.Digits(2) + sep + r.From("23456789", 1) + r.Digits(2)
	}
	d := r.Digits
	return r.Pick(
		"("+us(") ")+"-"+d(4), us("-")+"-"+d(4), us(".")+"."+d(4), "+1 "+us(" ")+" "+d(4), "+1"+us("")+d(4), "1-"+us("-")+"-"+d(4),
		"+44 20 7"+d(3)+" "+d(4), "020 7"+d(3)+" "+d(4), "07"+d(3)+" "+d(6), "+44 7"+d(3)+" "+d(6),
		"+49 30 "+d(7), "0151 "+d(8), "+49 (0)89 "+d(6), "030/"+d(8),
		"+33 6 "+grouped(d(8), " ", 2, 2, 2, 2), "06 "+grouped(d(8), " ", 2, 2, 2, 2), "01."+grouped(d(8), ".", 2, 2, 2, 2),
		"+34 6"+grouped(d(8), " ", 2, 3, 3), "+39 06 "+d(8), "+39 3"+d(2)+" "+d(7),
		"+91 9"+d(4)+" "+d(5), "+61 4"+d(2)+" "+d(3)+" "+d(3), "04"+d(2)+" "+d(3)+" "+d(3), "(02) 9"+d(3)+" "+d(4),
		"+55 11 9"+d(4)+"-"+d(4), "(11) 9"+d(4)+"-"+d(4), "+81 90-"+d(4)+"-"+d(4), "090-"+d(4)+"-"+d(4), "03-"+d(4)+"-"+d(4),
	)
}

func ssn(r Rand) string {
	s := until(func() string { return r.Digits(9) }, func(s string) bool {
		return s[0] != '9' && s[:3] != "000" && s[:3] != "666" && s[3:5] != "00" && s[5:] != "0000"
	})
	return grouped(s, r.Pick("-", "-", "-", " "), 3, 2, 4)
}

func itin(r Rand) string {
	return "9" + r.Digits(2) + "-" + r.Pick("70", "75", "88", "90", "92", "94", "99", "50", "65") + "-" + r.Digits(4)
}

func iban(r Rand) string {
	form := r.Pick("DE999999999999999999", "GBAAAA99999999999999", "FR99999999999A99999999999", "ES99999999999999999999", "ITA9999999999999999999999", "NLAAAA9999999999", "CH99999999999999999", "BE999999999999", "PL999999999999999999999999", "SE99999999999999999999")
	body := r.Shape(form[2:])
	check := func(c string) int {
		var b strings.Builder
		for _, x := range body + form[:2] + c {
			if x >= 'A' {
				fmt.Fprint(&b, int(x-'A')+10)
			} else {
				b.WriteRune(x)
			}
		}
		return remainder(b.String(), 97)
	}
	s := form[:2] + pad(98-check("00"), 2) + body
	if r.IntN(2) == 0 {
		return s
	}
	var out []string
	for ; len(s) > 4; s = s[4:] {
		out = append(out, s[:4])
	}
	return strings.Join(append(out, s), " ")
}

func ip(r Rand) string {
	n := func() string { return fmt.Sprint(1 + r.IntN(254)) }
	h := func() string { return fmt.Sprintf("%x", 1+r.IntN(65534)) }
	return r.Pick(fmt.Sprint(11+r.IntN(200))+"."+n()+"."+n()+"."+n(), "10."+n()+"."+n()+"."+n(), "2001:db8:"+h()+"::"+h(), "fe80::"+h()+":"+h()+":"+h(), "2001:db8:"+h()+":"+h()+":"+h()+":"+h()+":"+h()+":"+h())
}

func mac(r Rand) string {
	s := r.Pick("02", "4e", "a6") + r.Shape("xxxxxxxxxx")
	return r.Pick(grouped(s, ":", 2, 2, 2, 2, 2, 2), strings.ToUpper(grouped(s, "-", 2, 2, 2, 2, 2, 2)))
}

func birth(r Rand) string {
	y, m, d := r.date()
	month := []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}[m-1]
	return r.Pick(fmt.Sprintf("%04d-%02d-%02d", y, m, d), fmt.Sprintf("%02d/%02d/%04d", m, d, y), fmt.Sprintf("%02d.%02d.%04d", d, m, y),
		fmt.Sprintf("%d/%d/%04d", m, d, y), fmt.Sprintf("%d %s %d", d, month, y), fmt.Sprintf("%s %d, %d", month, d, y))
}

func dea(r Rand) string {
	return until(func() string { return r.From("ABFGMPR", 1) + r.From(capitals, 1) + r.Digits(7) }, func(s string) bool {
		return (sum(s[2:], 1, 0, 1, 0, 1)+2*sum(s[2:], 0, 1, 0, 1, 0, 1))%10 == at(s, 8)
	})
}

func nhs(r Rand) string {
	s := until(func() string { return r.From("469", 1) + r.Digits(9) }, func(s string) bool {
		c := 11 - sum(s, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
		return c == 11 && s[9] == '0' || c == at(s, 9) && c < 10
	})
	return r.Pick(s, grouped(s, " ", 3, 3, 4))
}

func nino(r Rand) string {
	s := r.From("ABCEGHJLMPRSTW", 1) + r.From("ABCEHJLMPRSTWXY", 1) + r.Digits(6) + r.From("ABCD", 1)
	return r.Pick(s, grouped(s, " ", 2, 2, 2, 2, 1))
}

func nif(r Rand) string {
	s := r.Digits(8)
	c := string("TRWAGMYFPDXBNJZSQVHLCKE"[remainder(s, 23)])
	return r.Pick(s+c, s+c, s+"-"+c)
}

func nie(r Rand) string {
	n, s := r.IntN(3), r.Digits(7)
	c := string("TRWAGMYFPDXBNJZSQVHLCKE"[remainder(pad(n, 1)+s, 23)])
	x := string("XYZ"[n])
	return r.Pick(x+s+c, x+s+c, x+"-"+s+"-"+c)
}

func fiscal(r Rand) string {
	odd := "BAKPLCQDREVOSFTGUHMINJWZYX"
	y, _, d := r.date()
	if r.IntN(2) == 0 {
		d += 40
	}
	s := r.From("BCDFGLMNPRSTVZ", 6) + pad(y%100, 2) + r.From("ABCDEHLMPRST", 1) + pad(d, 2) + r.From("ABCDEFGHL", 1) + r.Digits(3)
	n := 0
	for i, c := range s {
		v := int(c - 'A')
		if c <= '9' {
			v = int(c - '0')
		}
		if i%2 == 0 {
			v = strings.IndexByte(odd, byte('A'+v))
		}
		n += v
	}
	return s + string(rune('A'+n%26))
}

func pesel(r Rand) string {
	y, m, d := r.date()
	if y >= 2000 {
		m += 20
	}
	s := pad(y%100, 2) + pad(m, 2) + pad(d, 2) + r.Digits(4)
	return s + pad((1000-sum(s, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3))%10, 1)
}

func hetu(r Rand) string {
	y, m, d := r.date()
	s, n := pad(d, 2)+pad(m, 2)+pad(y%100, 2), pad(2+r.IntN(897), 3)
	sign := "-"
	if y >= 2000 {
		sign = "A"
	}
	return s + sign + n + string("0123456789ABCDEFHJKLMNPRSTUVWXY"[remainder(s+n, 31)])
}

func germanTax(r Rand) string {
	s := until(func() string { return r.From("123456789", 1) + r.Digits(10) }, func(s string) bool {
		most, repeated := 0, 0
		for c := '0'; c <= '9'; c++ {
			n := strings.Count(s[:10], string(c))
			most = max(most, n)
			if n > 1 {
				repeated++
			}
		}
		p := 10
		for i := range 10 {
			x := (at(s, i) + p) % 10
			if x == 0 {
				x = 10
			}
			p = x * 2 % 11
		}
		return repeated == 1 && most <= 3 && (11-p)%10 == at(s, 10)
	})
	return r.Pick(s, grouped(s, " ", 2, 3, 3, 3))
}

func nir(r Rand) string {
	y, m, _ := r.date()
	s := r.From("12", 1) + pad(y%100, 2) + pad(m, 2) + pad(1+r.IntN(95), 2) + pad(1+r.IntN(900), 3) + pad(1+r.IntN(900), 3)
	s += pad(97-remainder(s, 97), 2)
	return r.Pick(s, grouped(s, " ", 1, 2, 2, 2, 3, 3, 2))
}

func bsn(r Rand) string {
	return until(func() string { return r.From("123", 1) + r.Digits(8) }, func(s string) bool { return sum(s, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 })
}

func personnummer(r Rand) string {
	y, m, d := r.date()
	s := until(func() string { return pad(y%100, 2) + pad(m, 2) + pad(d, 2) + r.Digits(4) }, luhn)
	return r.Pick(s[:6]+"-"+s[6:], pad(y/100, 2)+s[:6]+"-"+s[6:], pad(y/100, 2)+s)
}

func aadhaar(r Rand) string {
	s := until(func() string { return r.From("23456789", 1) + r.Digits(11) }, verhoeff)
	return r.Pick(s, grouped(s, " ", 4, 4, 4))
}

// verhoeff is the check by the table of the dihedral group of order 10.
func verhoeff(s string) bool {
	d := [10]string{"0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"}
	p := [8]string{"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"}
	c := 0
	for i := range len(s) {
		x := at(p[i%8], at(s, len(s)-1-i))
		c = at(d[c], x)
	}
	return c == 0
}

func nric(r Rand) string {
	k, s := r.IntN(5), r.Digits(7)
	n := (sum(s, 2, 7, 6, 5, 4, 3, 2) + []int{0, 4, 0, 4, 3}[k]) % 11
	letters := []string{"JZIHGFEDCBA", "JZIHGFEDCBA", "XWUTRQPNMLK", "XWUTRQPNMLK", "XWUTRQPNJLK"}[k]
	return string("STFGM"[k]) + s + string(letters[n])
}

func abn(r Rand) string {
	s := until(func() string { return r.From("123456789", 1) + r.Digits(10) }, func(s string) bool {
		return (sum(s, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
	})
	return r.Pick(s, grouped(s, " ", 2, 3, 3, 3))
}

func acn(r Rand) string {
	s := until(func() string { return r.Digits(9) }, func(s string) bool { return (sum(s, 8, 7, 6, 5, 4, 3, 2, 1)+at(s, 8))%10 == 0 })
	return r.Pick(s, grouped(s, " ", 3, 3, 3))
}

func tfn(r Rand) string {
	s := until(func() string { return r.From("123456789", 1) + r.Digits(8) }, func(s string) bool { return sum(s, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 })
	return r.Pick(s, grouped(s, " ", 3, 3, 3))
}

func medicare(r Rand) string {
	s := until(func() string { return r.From("23456", 1) + r.Digits(8) }, func(s string) bool { return sum(s, 1, 3, 7, 9, 1, 3, 7, 9)%10 == at(s, 8) })
	s += r.From("12345", 1)
	return r.Pick(s, grouped(s, " ", 4, 5, 1))
}

func rrn(r Rand) string {
	y, m, d := r.date()
	sex := r.From("12", 1)
	if y >= 2000 {
		sex = r.From("34", 1)
	}
	s := pad(y%100, 2) + pad(m, 2) + pad(d, 2) + sex + r.Digits(5)
	s += pad((11-sum(s, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10, 1)
	return r.Pick(s, s[:6]+"-"+s[6:])
}

func cpf(r Rand) string {
	s := until(func() string { return r.Digits(9) }, func(s string) bool { return strings.Trim(s, s[:1]) != "" })
	for range 2 {
		n := 0
		for i := range len(s) {
			n += at(s, i) * (len(s) + 1 - i)
		}
		if n = 11 - n%11; n > 9 {
			n = 0
		}
		s += pad(n, 1)
	}
	return r.Pick(s, s[:3]+"."+s[3:6]+"."+s[6:9]+"-"+s[9:])
}
