"""Does a model judge strongly acted speech otherwise than speech as people talk?"""
