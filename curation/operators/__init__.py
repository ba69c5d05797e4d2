BUILTIN: dict[str,str] = {"words":"curation.operators.words:Words"}
