"""Teaches transformers our architectures: once this is imported, AutoConfig and AutoModel know them by name.

Whoever loads a checkpoint imports it (`probing.encoders.checkpoints`). In a program of one's own, `import
probing.encoders.architectures` is all that `AutoModel.from_pretrained` needs for a model that was trained here.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)

from probing.encoders.bermo_model import BermoConfig, BermoForSequenceClassification, BermoModel
from probing.encoders.c_bert_model import (
    CBertConfig,
    CBertForMaskedLM,
    CBertForSequenceClassification,
    CBertModel,
)
from probing.encoders.kdlsq_bert_model import KdlsqBertConfig, KdlsqBertForSequenceClassification, KdlsqBertModel
from probing.encoders.lv_bert_heads import LvBertForMaskedLM, LvBertForPreTraining, LvBertForSequenceClassification
from probing.encoders.lv_bert_model import LvBertConfig, LvBertModel
from probing.encoders.nas_bert_heads import NasBertForMaskedLM, NasBertForSequenceClassification
from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel
from probing.encoders.nas_bert_supernet import NasBertSupernet, NasBertSupernetConfig
from probing.encoders.word_networks import WordNetworkConfig, WordNetworkForSequenceClassification

AutoConfig.register(BermoConfig.model_type, BermoConfig)
AutoModel.register(BermoConfig, BermoModel)
AutoModelForSequenceClassification.register(BermoConfig, BermoForSequenceClassification)

AutoConfig.register(LvBertConfig.model_type, LvBertConfig)
AutoModel.register(LvBertConfig, LvBertModel)
AutoModelForMaskedLM.register(LvBertConfig, LvBertForMaskedLM)
AutoModelForPreTraining.register(LvBertConfig, LvBertForPreTraining)
AutoModelForSequenceClassification.register(LvBertConfig, LvBertForSequenceClassification)

AutoConfig.register(CBertConfig.model_type, CBertConfig)
AutoModel.register(CBertConfig, CBertModel)
AutoModelForMaskedLM.register(CBertConfig, CBertForMaskedLM)
AutoModelForSequenceClassification.register(CBertConfig, CBertForSequenceClassification)

AutoConfig.register(WordNetworkConfig.model_type, WordNetworkConfig)
AutoModelForSequenceClassification.register(WordNetworkConfig, WordNetworkForSequenceClassification)

AutoConfig.register(KdlsqBertConfig.model_type, KdlsqBertConfig)
AutoModel.register(KdlsqBertConfig, KdlsqBertModel)
AutoModelForSequenceClassification.register(KdlsqBertConfig, KdlsqBertForSequenceClassification)

AutoConfig.register(NasBertConfig.model_type, NasBertConfig)
AutoModel.register(NasBertConfig, NasBertModel)
AutoModelForMaskedLM.register(NasBertConfig, NasBertForMaskedLM)
AutoModelForSequenceClassification.register(NasBertConfig, NasBertForSequenceClassification)

AutoConfig.register(NasBertSupernetConfig.model_type, NasBertSupernetConfig)
AutoModel.register(NasBertSupernetConfig, NasBertSupernet)
