package search

import "strings"

// stopWords are English words that say nothing about what a memory is about, in the form in which Terms
// sees them: lower case, apostrophes removed. "may" and "will" are names and months too and stay out.
var stopWords = func() map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(`
		a about above after again against all am an and any are arent as at be because been before being
		below between both but by can cannot cant could couldnt d did didnt do does doesnt doing dont down
		during each either else ever few for from further had hadnt has hasnt have havent having he hed hell
		her here heres hers herself hes him himself his how hows i id if ill im in into is isnt it its itself
		ive just let lets ll m me might more most much mustnt my myself neither no nor not now of off on once
		only or other our ours ourselves out over own re s same shall shant she shed shell shes should
		shouldnt so some such t than that thats the their theirs them themselves then there theres these they
		theyd theyll theyre theyve this those though through to too under until up upon us ve very was wasnt we
		wed well were werent weve what whats when whens where wheres whether which while who whom whos whose
		why whys with within without wont would wouldnt yes yet you youd youll your youre yours yourself
		yourselves youve`) {
		set[w] = true
	}
	return set
}()
