package poison

var delayedPhrases = map[string][]string{
	"en": {
		"[when] +1 [the] [user] +3 [asks]",
		"[when] [someone] +2 [asks]",
		"[when] asked about|for|to",
		"[when] +1 [the] [user] next +2 [asks]",
		"[when] +2 future +2 conversation|conversations|session|sessions|request|requests|chat|chats",
		"in +1 [any] future +2 conversation|conversations|session|sessions|request|requests|chat|chats|response|responses",
		"[when] you +1 hear|see|read|receive|encounter +3 word|phrase|keyword|codeword|trigger|code|following",
		"as soon as +1 [the] [user] +3 [asks]",
		"until +1 [the] [user] +1 says|types|asks|mentions",
	},
	"de": {
		"wenn|sobald|falls +3 nutzer|benutzer|anwender|kunde|nutzerin +6 fragt|sagt|erwahnt|erwaehnt|schreibt|nachfragt|wissen|bittet",
		"in +1 zukunftigen|zukuenftigen|kunftigen|kuenftigen gesprachen|gespraechen|sitzungen|antworten|unterhaltungen",
	},
	"fr": {
		"quand|lorsque|si|des +2 utilisateur|lutilisateur|utilisatrice|lutilisatrice|client +4 demande|demandera|dit|dira|mentionne|parle|pose",
		"dans +2 futures|prochaines +1 conversations|reponses|sessions",
	},
	"es": {
		"cuando|si|siempre +2 usuario|usuaria|cliente +4 pregunte|pregunta|diga|dice|mencione|pida|escriba",
		"en +2 futuras|proximas +1 conversaciones|respuestas|sesiones",
	},
}

var exfiltrationPhrases = map[string][]string{
	"en": {
		"[send] +7 [private] +8 [address]",
		"[send] +5 [address] +1 with +4 [private]",
		"[send] +2 [private] +6 to|at|via +4 webhook|endpoint|url|server",
		"[append] +6 [private] +5 url|link|query|parameter|ADDRESS-URL",
		"bcc|cc|blindcopy +3 [address] +4 [every]",
		"[every] +4 bcc|cc|forwarded|copied +4 [address]",
		"forward|redirect +2 [every] +4 email|emails|mail|mails|message|messages|response|responses +4 [address]",
	},
	"de": {
		"[send-de] +8 [private-de] +8 [address]",
		"[private-de] +6 an +4 [address] +3 senden|schicken|weiterleiten|ubermitteln|uebermitteln|hochladen",
	},
	"fr": {
		"envoie|envoyez|envoyer|transmets|transmettez|transferer|transfere|transferez|poste|postez +6 [private-fr] +8 [address]",
	},
	"es": {
		"envia|envie|enviar|manda|mande|mandar|reenvia|reenviar|reenvie|sube|publica +6 [private-es] +8 [address]",
	},
}

var exfiltrationSecretPhrases = map[string][]string{
	"en": {
		"[send] +7 [secret] +8 [address]",
		"[send] +7 api|access|private|secret|ssh key|keys|token|tokens +8 [address]",
		"[send] +7 environment|env variables|vars +8 [address]",
		"[append] +6 [secret] +6 url|link|query|parameter|request|ADDRESS-URL",
		"exfiltrate|exfil +4 [private]|[secret]|data|information",
	},
	"de": {"[send-de] +8 passwort|passworter|passwoerter|kennwort|zugangsdaten|geheimnisse|schlussel|schluessel +8 [address]"},
	"fr": {"envoie|envoyez|envoyer|transmets|transmettez|transfere|transferez +6 motdepasse|mots|mot|identifiants|secrets|cles +8 [address]"},
	"es": {"envia|envie|enviar|manda|mandar|reenvia|reenviar +6 contrasena|contrasenas|credenciales|claves|secretos +8 [address]"},
}

var imagePhrases = map[string][]string{
	"": {"data text html|javascript", "data application javascript|xhtml|ecmascript", "data image svg +1 xml +2 base64|charset|utf8"},
}

var revealPhrases = map[string][]string{
	"en": {
		"![show] +4 [system] prompt|prompts|instructions|message",
		"![show] +3 your +2 prompt|prompts|instructions|guidelines|configuration|directives|rules|training",
		"![show] +4 hidden|initial|internal|original|secret|confidential instructions|prompt|prompts|rules|guidelines|configuration",
		"what +1 is|are|was|were +1 your +2 system|initial|original|hidden|secret|first prompt|instructions|message|rules",
		"repeat|print|output|copy +3 [everything]|text|words|all +3 above|verbatim",
		"![show] +2 your|all|stored +3 api|access|secret|private|ssh|encryption key|keys|token|tokens",
		"![show] +2 your|all|any|stored|every|their +3 [secret]",
		"![show] +3 environment variables",
		"![show] +2 [any] +2 other users|customers|tenants|clients|peoples +3 [private]|data|information|conversations",
	},
	"de": {
		"zeige|zeig|verrate|nenne|gib|wiederhole|drucke|offenbare +5 systemprompt|systemnachricht|systemanweisung|systemanweisungen|systemprompts",
		"zeige|zeig|verrate|nenne|gib|wiederhole|offenbare +3 [your-de] +2 [instructions-de]|zugangsdaten|passworter|passwoerter|geheimnisse",
	},
	"fr": {
		"montre|montrez|revele|revelez|affiche|affichez|donne|donnez|repete|repetez +4 prompt|invite|instructions +1 systeme",
		"montre|montrez|revele|revelez|affiche|affichez|repete|repetez +2 [your-fr] +2 [instructions-fr]|identifiants|secrets",
	},
	"es": {
		"muestra|muestre|revela|revele|imprime|dame|repite|repita +4 prompt|mensaje|instrucciones +2 sistema",
		"muestra|muestre|revela|revele|imprime|repite +2 [your-es] +2 [instructions-es]|credenciales|contrasenas|secretos",
	},
}

var concealPhrases = map[string][]string{
	"en": {
		"[never] [tell] +4 [the] [user]",
		"[never] [tell] +4 to +1 [user]",
		"[never] let +1 [user] +2 know|see|notice|find|suspect|realize|realise",
		"without telling|informing|notifying|alerting|asking|mentioning +4 [user]|them|it",
		"without +2 [users] +1 knowledge|consent|knowing|permission|noticing|approval",
		"without +1 [user] knowing|noticing|realizing|realising",
		"keep|keeping +4 hidden|secret|concealed|confidential|invisible from +2 [user]",
		"hide|conceal|withhold +5 from +2 [user]",
		"[never] +1 [tell] +3 [this] +1 [instructions]|memory|message|note|prompt|rule",
		"[never] +1 [tell] that +1 you +4 [told]",
		"if asked +5 deny|lie",
		"deny +3 existence|having|knowing|knowledge +4 [instructions]|memory|this|these",
		"[user] +1 must|should|may|can|cannot|mustnt|shouldnt not|never +1 know|see|find|notice|learn",
	},
	"de": {
		"sag|sage|sagen|erzahle|erzaehle|verrate|verraten|erwahne|erwaehne|teile|informiere +4 nutzer|benutzer|anwender|kunden|user +3 nichts|nicht|niemals|nie",
		"erwahne|erwaehne|verrate|erzahle|erzaehle|zeige +2 diese|dieses|das +2 [instructions-de]|nachricht|notiz|erinnerung +2 nicht|niemals|nie",
		"ohne +2 wissen +2 nutzers|benutzers|anwenders|kunden",
		"ohne +2 nutzer|benutzer|anwender|kunden +3 informieren|fragen|sagen",
	},
	"fr": {
		"ne +1 dis|dites|mentionne|mentionnez|revele|revelez|parle|parlez|informe|informez +2 pas|jamais|rien +5 utilisateur|lutilisateur|client",
		"sans +2 informer|avertir|prevenir|demander +3 utilisateur|lutilisateur|client",
		"a insu|linsu +2 utilisateur|lutilisateur|client",
	},
	"es": {
		"no +2 digas|diga|menciones|mencione|reveles|revele|informes|informe|cuentes +5 usuario|cliente",
		"sin +2 informar|avisar|decir|decirle|preguntar +4 usuario|cliente",
		"sin que +2 usuario|cliente +2 sepa|note|entere",
	},
}
