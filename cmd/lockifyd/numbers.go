package main

import (
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/internal/bounds"
)

// This file makes settings that are numbers, times, true or false, or any text.

// number is a setting that is a whole number.
func number(key string, r bounds.Range[int], unit, help string, of func(*config) *int) setting {
	return setting{
		key: key, kind: kindInt, arg: "N", unit: unit, def: strconv.Itoa(r.Default),
		want: "a whole number from " + r.String(), help: help,
		set: func(c *config, v string) (err error) {
			*of(c), err = strconv.Atoi(v)
			return wantIf(err == nil && r.Has(*of(c)))
		},
		get: func(c *config) string { return strconv.Itoa(*of(c)) },
	}
}

// perCore is a number whose default depends on the machine; auto says how.
func perCore(key string, r bounds.Range[int], def int, auto, unit, help string, of func(*config) *int) setting {
	r.Default = min(max(def, r.Least), r.Most)
	s := number(key, r, unit, help, of)
	s.auto = auto
	return s
}

// span is a setting that is a time.
func span(key string, r bounds.Range[time.Duration], help string, of func(*config) *time.Duration) setting {
	return setting{
		key: key, arg: "TIME", def: bounds.Text(r.Default), want: "a time from " + r.String(), help: help,
		set: func(c *config, v string) error { return parseTime(v, r, of(c)) },
		get: func(c *config) string { return of(c).String() },
	}
}

func parseTime(v string, r bounds.Range[time.Duration], to *time.Duration) (err error) {
	*to, err = time.ParseDuration(v)
	return wantIf(err == nil && r.Has(*to))
}

// yesNo is a setting that is false by default.
func yesNo(key, help string, of func(*config) *bool) setting {
	return setting{
		key: key, kind: kindBool, def: "false", want: "true or false", help: help,
		set: func(c *config, v string) error {
			*of(c) = v == "true"
			return wantIf(v == "true" || v == "false")
		},
		get: func(c *config) string { return strconv.FormatBool(*of(c)) },
	}
}

// text is a setting that may be anything but empty.
func text(key, arg, def, want, help string, of func(*config) *string) setting {
	return setting{
		key: key, arg: arg, def: def, want: want, help: help,
		set: func(c *config, v string) error { *of(c) = v; return wantIf(v != "") },
		get: func(c *config) string { return *of(c) },
	}
}
