demo test:
	python3 run.py $@ $(ARGS)

.PHONY: demo test
