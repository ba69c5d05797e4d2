"""Whether a model got better, by whose judgement, how sure that is, and what that judgement does not see."""
