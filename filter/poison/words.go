package poison

// groups are words that mean the same to a phrase. Words are as they are once folded: in
// lower case, without accents and apostrophes. ADDRESS-URL and ADDRESS-MAIL stand for a
// URL and for an e-mail address.
var groups = map[string]string{
	"ignore": "ignore ignoring ignored ignores disregard disregarding disregards disregarded forget forgetting forgot override overriding bypass bypassing " +
		"circumvent discard discarding neglect drop dismiss skip abandon erase overrule nullify",
	"prior": "previous prior above earlier preceding existing original past former foregoing aforementioned old initial current before so",
	"instructions": "instructions instruction rules rule prompt prompts directives directive guidelines guideline commands command orders order " +
		"constraints constraint programming guidance restrictions restriction policies protocols protocol",
	"any":        "all any every each whatever entire whichever",
	"all-your":   "all your any every",
	"my-your":    "my your the our their these those",
	"my-these":   "my these this",
	"your":       "your ur its",
	"everything": "everything anything all whatever",
	"given":      "given told received said provided stated written before above received learned instructed",
	"new":        "new updated revised real actual",
	"void":       "void invalid obsolete cancelled canceled revoked superseded outdated irrelevant suspended false untrusted wrong",
	"this":       "this these that it",
	"the":        "the a any your this",
	"end":        "end ends",
	"system":     "system developer",

	"assistant": "assistant ai bot chatbot model claude chatgpt gpt",
	"unbound": "dan unrestricted unfiltered uncensored jailbroken evil root admin administrator superuser hacker developer free unbound " +
		"unlimited omnipotent liberated amoral unaligned sydney stan pirate",
	"mode": "mode",
	"wild": "developer dev god dan admin administrator jailbreak unrestricted root sudo maintenance debug unfiltered uncensored " +
		"override superuser privileged chaos evil",
	"enter":  "enter enable activate switch engage unlock initiate start turn toggle entering enabling activating",
	"limits": "restrictions restriction limitations limitation limits filters filter constraints rules guidelines boundaries censorship guardrails safeguards ethics",

	"when":    "when whenever if once after before",
	"user":    "user users customer customers human humans operator owner victim person",
	"users":   "users customers humans operators owners his her their",
	"someone": "someone somebody anyone anybody they he she",
	"asks": "ask asks asked asking says say mentions mention types type requests request wants queries inquires says writes tells " +
		"replies responds confirms sends opens visits logs starts returns",

	"send": "send sends sending sent forward forwards forwarding post posts posting upload uploads uploading transmit transmits transmitting " +
		"email emails emailing mail exfiltrate leak leaks submit submits deliver relay report bcc copy push dump sync share transfer",
	"append": "append appends appending include encode encoding embed attach put add insert",
	"private": "conversation conversations history transcript transcripts chat chats memory memories messages message inbox emails " +
		"files documents data contents content details context summary records logs information info correspondence responses answers",
	"secret":  "password passwords passphrase passphrases credential credentials secret secrets token tokens apikey apikeys keys cookies passcode passcodes pin",
	"address": "ADDRESS-URL ADDRESS-MAIL",
	"every":   "every all each any always outgoing incoming future subsequent",

	"show":  "show reveal print display output expose leak disclose dump repeat recite tell give share list return provide echo paste export",
	"never": "never dont not cannot shouldnt mustnt wont avoid refrain",
	"tell": "tell telling mention mentioning reveal revealing inform informing disclose disclosing alert alerting notify notifying " +
		"show showing warn warning explain discuss admit acknowledge report",
	"told": "told instructed given asked received programmed configured",

	"grant":  "grant grants granting give gives giving assign assigns enable elevate elevates escalate promote add",
	"power":  "admin administrator administrative root superuser unrestricted elevated unlimited sudo owner privileged",
	"rights": "access rights right privilege privileges permission permissions role status authority clearance control",
	"checks": "authentication authorization authorisation safety security approval verification moderation content permission compliance confirmation",

	"store":          "remember store save keep memorize memorise retain record persist",
	"delete":         "delete forget remove erase overwrite discard purge drop wipe expire",
	"deleted":        "deleted forgotten removed erased overwritten discarded purged changed modified altered questioned ignored",
	"entry":          "memory memories note entry instruction instructions rule rules fact record directive message statement",
	"trusted-most":   "trusted authoritative verified canonical unquestionable immutable authentic infallible",
	"above-all":      "unquestionable irrevocable immutable permanent authoritative indisputable",
	"replace-memory": "replace overwrite override supersede update",

	"ignore-de": "ignoriere ignorieren ignorier ignorierst vergiss vergessen vergesse missachte missachten verwirf verwerfen uberspringe ueberspringe ubergehe uebergehe " +
		"umgehe umgehen",
	"prior-de": "vorherigen vorherige vorheriger bisherigen bisherige vorigen vorangegangenen vorangehenden fruheren frueheren obigen alten " +
		"ursprunglichen urspruenglichen davor zuvor vorher vorstehenden bestehenden",
	"all-de":  "alle allen samtliche saemtliche jede jegliche jeglichen",
	"your-de": "deine deinen deiner dein ihre ihren ihrer eure euren",
	"instructions-de": "anweisungen anweisung instruktionen instruktion befehle befehl regeln regel vorgaben vorgabe richtlinien richtlinie " +
		"aufforderungen systemprompt prompt prompts einschrankungen einschraenkungen beschrankungen weisungen auftrage auftraege systemanweisungen",
	"unbound-de": "administrator admin root entwickler dan uneingeschrankt uneingeschraenkt unbeschrankt unbeschraenkt unzensiert unzensierte unzensierter " +
		"uneingeschrankte uneingeschraenkte uneingeschrankter uneingeschraenkter hacker frei boser boeser",
	"assistant-de": "assistent ki chatbot modell sprachmodell bot",
	"enter-de":     "aktiviere aktivieren wechsle wechsel wechseln schalte starte starten betrete gehe",
	"send-de":      "sende senden schicke schicken ubermittle uebermittle ubermitteln uebermitteln leite weiterleiten poste lade maile verschicke",
	"private-de": "gesprach gespraech gesprache gespraeche unterhaltung unterhaltungen verlauf chatverlauf gesprachsverlauf gespraechsverlauf erinnerungen nachrichten dateien daten " +
		"dokumente inhalt inhalte zusammenfassung protokoll informationen",

	"ignore-fr":       "ignore ignorez ignorer oublie oubliez oublier neglige negligez contourne contournez outrepasse outrepassez annule annulez",
	"prior-fr":        "precedentes precedente precedents anterieures anterieure anterieurs existantes initiales initiale ci originales",
	"all-fr":          "toutes tous toute",
	"your-fr":         "tes vos ton votre ta",
	"instructions-fr": "instructions instruction consignes consigne regles regle directives directive ordres ordre commandes contraintes restrictions prompt prompts",
	"unbound-fr": "administrateur admin root developpeur dan pirate restriction restrictions limites limite filtre filtres censure illimite illimitee libre " +
		"malveillant malveillante",
	"assistant-fr": "assistant ia modele chatbot robot",
	"enter-fr":     "active activez activer passe passez passer entre entrez bascule basculez",
	"private-fr":   "conversation conversations historique memoires memoire messages message fichiers donnees documents contenu informations resume",

	"ignore-es":       "ignora ignore ignorar ignoren ignorad olvida olvide olvidar olviden omite omita omitir descarta descarte desestima desestime anula anule",
	"prior-es":        "anteriores anterior previas previa previos previo existentes originales iniciales pasadas pasados antiguas",
	"all-es":          "todas todos toda",
	"your-es":         "tus sus tu su",
	"instructions-es": "instrucciones instruccion reglas regla ordenes orden directrices directivas indicaciones comandos restricciones normas prompt prompts",
	"unbound-es": "administrador admin root desarrollador dan hacker restricciones restriccion limites limite filtros filtro censura libre ilimitado ilimitada " +
		"malvado malvada",
	"assistant-es": "asistente ia modelo chatbot robot",
	"enter-es":     "activa active activar entra entre cambia cambie habilita habilite pasa",
	"private-es":   "conversacion conversaciones historial memorias memoria recuerdos mensajes mensaje archivos datos documentos contenido informacion resumen",
}

// negations are words behind which a phrase that begins with ! does not count.
const negations = "not never dont doesnt didnt cannot cant nicht niemals nie pas jamais no nunca"
