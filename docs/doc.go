// Docs runs the commands of the pages below it:
//
//	page.md --- parsePage --> prose, commands with what they should say, files
//	                               |
//	                    one bash for each page, in a directory and (as root) a network
//	                    namespace of its own, with lockifyd and lockctl in its PATH
//	                               |
//	                    what a command says == what the page says, or an error
//
// A block of the language console has commands, and below each what it says:
//
//	$ lockctl status
//	node 1 of cluster lockify, ...
//	...
//	$ cat >file <<END
//	> a command may have more lines
//	> END
//
// "..." stands for anything within a line, and alone for any number of lines. A lockifyd
// that is started into the background, with its output in a file, is waited for until it
// is ready, as a reader would; a command that only looks at something (lockctl members,
// curl) is repeated until it says what is wanted. The directory has a link lockify to this
// repository, and a link bin to the programs.
//
// A block of Go has a line "<!-- file: NAME -->" before it, and is that file of this
// repository. Commands in a block of the language sh are not run here: a line
// "<!-- run by: TEST -->" before it names the test that runs them, or
// "<!-- not run: WHY -->" says why none does. Of the latter, and of commands within prose, it
// is checked that the subcommands, flags, targets and variables that they name are there.
// A line "<!-- a piece of a program -->" before a block of Go stands for "not a whole file".
// What any page calls lockify.Name is in package lockify.
//
//	go run ./docs --show docs/guide/tour.md      # prose, commands and what they say
//
// Errors on the pages in reference/ are made of the code by the tests here.
package main
