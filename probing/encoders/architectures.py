"""Teaches transformers our architectures: once this is imported, AutoConfig and AutoModel know them by name.

Whoever loads a checkpoint imports it (`probing.encoders.checkpoints`). In a program of one's own, `import
probing.encoders.architectures` is all that `AutoModel.from_pretrained` needs for a model that was trained here.
"""

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from probing.encoders.bermo_model import BermoConfig, BermoForSequenceClassification, BermoModel

AutoConfig.register(BermoConfig.model_type, BermoConfig)
AutoModel.register(BermoConfig, BermoModel)
AutoModelForSequenceClassification.register(BermoConfig, BermoForSequenceClassification)
