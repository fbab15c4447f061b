"""Which system recognizes emotions of strangers best, and what does it cost?"""
