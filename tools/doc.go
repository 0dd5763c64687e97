// Package tools has tests that need modules which lockify itself does without:
//
//	deploy/kubernetes/lockify.yaml --- Kubernetes' types --> known fields, names that fit
//	                               --- lockifyd --check-config --> settings that are good
package tools
