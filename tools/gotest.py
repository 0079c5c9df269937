#!/usr/bin/env python3
"""Runs go test and prints what it would print, with the skipped tests named.

go test hides skipped tests unless it is verbose, and being verbose it hides
everything else. Results stream as packages finish; tests that were skipped are
appended to the file named by SKIPPED, one a line, with their reason. With -v
each test that passed is named, without what it logged.

usage: gotest.py [arguments of go test]
"""

import json
import os
import subprocess
import sys


def main() -> int:
    output: dict[tuple[str, str], list[str]] = {}
    skipped: list[str] = []
    verbose = "-v" in sys.argv
    with subprocess.Popen(["go", "test", "-json", *sys.argv[1:]], stdout=subprocess.PIPE, text=True) as go:
        for line in go.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                print(line, end="", flush=True)
                continue
            package, test = event.get("Package", ""), event.get("Test", "")
            text = event.get("Output", "")
            match event.get("Action"):
                case "build-output":
                    print(text, end="", flush=True)
                case "output" if not test:
                    if text != "PASS\n":
                        print(text, end="", flush=True)
                case "output":
                    if not text.startswith(("=== RUN", "=== PAUSE", "=== CONT", "=== NAME")):
                        output.setdefault((package, test), []).append(text)
                case "pass" if test:
                    lines = output.pop((package, test), [])
                    if verbose:
                        print("".join(t for t in lines if t.lstrip().startswith("--- PASS")), end="", flush=True)
                case "fail" if test:
                    print("".join(output.pop((package, test), [])), end="", flush=True)
                case "fail":
                    # A panic or a timeout ends tests without a result of their own.
                    for key in [k for k in output if k[0] == package]:
                        print("".join(output.pop(key)), end="", flush=True)
                case "skip" if test:
                    reason = " ".join(
                        part.strip() for part in output.pop((package, test), []) if not part.lstrip().startswith("--- SKIP")
                    )
                    skipped.append(f"{package} {test}: {reason}")
    if skipped and (path := os.environ.get("SKIPPED")):
        with open(path, "a", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in skipped)
    return go.returncode


if __name__ == "__main__":
    sys.exit(main())
