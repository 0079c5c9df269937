//go:build !wasm || !overwrite

package main

func takenBack(int, int) {}
