package poison

var privilegePhrases = map[string][]string{
	"en": {
		"[grant] +4 [power] +1 [rights]",
		"[grant] +4 [rights] +2 [power]",
		"you +1 now +1 have +2 [power] +1 [rights]",
		"you +1 have +2 [power] +1 [rights] +1 now|to|over",
		"[this]|the user +1 is|has +2 [power]|verified|trusted +2 [rights]|administrator|admin|developer",
		"[user] +1 is now +2 admin|administrator|root|superuser|owner",
		"treat|consider|regard +2 [user]|sender|me +2 as +2 admin|administrator|root|superuser|owner|developer|trusted|authorized|authorised",
		"[ignore] +3 [checks] +1 check|checks|filter|filters|guideline|guidelines|policy|policies|rule|rules|protocol|protocols|measures|control|controls|restriction|restrictions|guardrails",
		"[ignore] +2 guardrails|authorization|authorisation|moderation",
		"disable|deactivate|remove +2 [all-your] +2 [checks]|guardrails|restrictions|filters",
		"[never] +1 ask|require|request|need|wait +2 confirmation|approval|permission|authorization|consent",
		"without +1 asking|requiring|waiting|requesting +2 confirmation|approval|permission|authorization|consent",
		"pre +1 approved|authorized|authorised +2 all|any|every",
		"automatically|auto approve|approved|accept|authorize|execute +3 [every]|request|requests|transfers|payments|transactions|refunds|commands",
		"user +2 authorized|authorised|approved|consented +2 all|any|every +2 action|actions|request|requests|transfer|transfers|purchase|purchases|future",
	},
	"de": {
		"gewahre|gewaehre|gib|erteile +4 adminrechte|administratorrechte|rootrechte|vollzugriff|adminzugriff",
		"du hast +1 jetzt|nun +2 adminrechte|administratorrechte|rootrechte|vollzugriff",
		"ohne +1 ruckfrage|rueckfrage|bestatigung|bestaetigung|genehmigung|zustimmung +2 ausfuhren|ausfuehren|uberweisen|ueberweisen|genehmigen|loschen|loeschen",
	},
	"fr": {
		"accorde|accordez|donne|donnez +4 droits|acces|privileges +1 administrateur|admin|root|dadministrateur|complet|total",
		"sans +1 demander|attendre|aucune +1 confirmation|approbation|autorisation",
	},
	"es": {
		"concede|conceda|otorga|otorgue|da|dale|dame +4 permisos|acceso|derechos|privilegios +1 de +1 administrador|admin|root|total|completo",
		"sin +1 pedir|solicitar|esperar|ninguna +1 confirmacion|aprobacion|autorizacion|permiso",
	},
}

var reinforcePhrases = map[string][]string{
	"en": {
		"[never] [delete] +2 [this] +2 [entry]",
		"[this] +1 [entry] +2 [never] +1 be +1 [deleted]",
		"[this] +1 [entry] +2 cannot|cant|must +1 not +1 be +1 [deleted]",
		"[store]|mark|treat|flag|tag|label|consider|regard +4 as +3 [trusted-most]",
		"[trusted-most] +1 [entry]|source|authority",
		"[this] +1 [entry] +2 highest|top|absolute|maximum +1 priority|precedence|authority|importance",
		"[this] +1 [entry] +3 [above-all]",
		"[this] +1 [entry] +2 overrides|override|supersedes|supersede|replaces|replace|outranks|overrules",
		"[entry] +2 takes|take precedence over",
		"[replace-memory] +3 [any] +2 memories|memory|entries|facts|notes +3 with|by",
		"[delete] +3 [any] +2 other|previous|existing|prior|older|conflicting +1 memories|memory|entries|facts",
		"[any] +1 other|previous|existing|prior +1 memories|memory|facts|notes +2 [void]",
		"copy|repeat|include|add|append|insert +3 [this] +2 [entry]|[instructions]|text +5 [every]",
		"always include|repeat|copy +3 [this] +2 [instructions]|[entry]",
		"remember|memorize|store|save +2 following +2 [instructions]",
	},
	"de": {
		"losche|loesche|loschen|loeschen|vergiss|vergessen|uberschreibe|ueberschreibe +1 diese|diesen|dieses +1 erinnerung|eintrag|notiz|anweisung|regel|nachricht +1 niemals|nie|nicht",
		"diese|dieser|dieses +1 erinnerung|eintrag|notiz|anweisung|regel +3 niemals|nie +2 geloscht|geloescht|vergessen|uberschrieben|ueberschrieben",
		"hochste|hoechste|hochster|hoechster +1 prioritat|prioritaet|vertrauensstufe +3 erinnerung|eintrag|anweisung|speichern|merken",
		"als +2 vertrauenswurdigste|vertrauenswuerdigste|vertrauenswurdige|vertrauenswuerdige|verlasslichste +2 quelle|erinnerung|information",
	},
	"fr": {
		"ne +1 supprime|supprimez|efface|effacez|oublie|oubliez +1 jamais|pas cette|ce +1 memoire|souvenir|note|instruction|regle|message",
		"cette|ce +1 memoire|souvenir|note|instruction|regle +3 priorite|prioritaire|prevaut|remplace",
	},
	"es": {
		"nunca|no|jamas borres|borre|elimines|elimine|olvides|olvide esta|este +1 memoria|recuerdo|nota|instruccion|regla|mensaje",
		"esta|este +1 memoria|recuerdo|nota|instruccion|regla +3 prioridad|prevalece|reemplaza|anula",
	},
}

var persistPhrases = map[string][]string{
	"en": {
		"[store] +3 [this] +5 permanently|forever|indefinitely|always",
		"permanently|always [store] +4 [this]",
		"save|store|write|add|commit +3 [this] +3 to +2 long|permanent|core term|memory +1 memory",
	},
	"de": {"merke|merk|merken|speichere|speichern|behalte +3 dauerhaft|immer|ewig|permanent|unwiderruflich"},
	"fr": {"memorise|memorisez|enregistre|enregistrez|retiens|retenez|garde|gardez +3 toujours|jamais|definitivement|permanence"},
	"es": {"recuerda|memoriza|guarda|almacena|recuerde|guarde +3 siempre|permanentemente|definitivamente"},
}
