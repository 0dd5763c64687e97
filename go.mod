module github.com/lockify-dlm/lockify

go 1.26
