"""Runs Presidio's pattern recognizers over the texts of the quality measure.

usage: presidio.py [--seconds] TEXTS > FINDINGS

One JSON object with the member Text a line in, one list of findings with offsets
in bytes a line out. No model is loaded: the language is a blank one of spaCy, whose
words are their own lemmas in lower case, so that context words work. Recognizers of
all countries are loaded, as they are when a deployment names them. With --seconds it
prints how long the analysis took, without the start, and nothing else.
"""
import inspect
import json
import sys
import time

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from spacy.language import Language

THRESHOLD = 0.35  # what Presidio's own demonstration uses
NEEDS_MODEL = ("Spacy", "Stanza", "Transformers", "GLiNER", "Flair", "Azure", "LangExtract", "LLM", "Ollama", "Nlp", "HuggingFace")

# Top-level domains are those that the package ships; nothing is fetched.
tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())


@Language.component("lower")
def lower(doc):
    for token in doc:
        token.lemma_ = token.text.lower()
    return doc


class Blank(SpacyNlpEngine):
    def __init__(self):
        super().__init__()
        blank = spacy.blank("en")
        blank.add_pipe("lower")
        self.nlp = {"en": blank}

    def load(self):
        pass


def recognizers():
    for name, cls in inspect.getmembers(predefined_recognizers, inspect.isclass):
        if not issubclass(cls, EntityRecognizer) or name.startswith(NEEDS_MODEL):
            continue
        try:
            yield cls(supported_language="en")
        except Exception as error:  # a base class, or one that needs a service
            print(f"presidio: without {name}: {type(error).__name__}", file=sys.stderr)


def main():
    registry = RecognizerRegistry(recognizers=list(recognizers()), supported_languages=["en"])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    timed = sys.argv[1] == "--seconds"
    with open(sys.argv[-1], encoding="utf-8") as texts:
        if timed:
            texts = list(texts)
            analyzer.analyze(text=json.loads(texts[0])["Text"], language="en", score_threshold=THRESHOLD)
            begin = time.process_time()
            for line in texts:
                analyzer.analyze(text=json.loads(line)["Text"], language="en", score_threshold=THRESHOLD)
            print(time.process_time() - begin)
            return
        for line in texts:
            text = json.loads(line)["Text"]
            found = []
            for r in analyzer.analyze(text=text, language="en", score_threshold=THRESHOLD):
                start = len(text[: r.start].encode())
                found.append({"entity": r.entity_type, "Start": start, "End": start + len(text[r.start : r.end].encode())})
            print(json.dumps(found))


if __name__ == "__main__":
    main()
