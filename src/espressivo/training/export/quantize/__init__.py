"""An fp32 graph reduced to int8 (static QDQ) or fp16."""
