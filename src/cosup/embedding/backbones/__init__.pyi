from cosup.embedding.backbones.base import Backbone as Backbone
from cosup.embedding.backbones.lite import EfficientNetLite0 as EfficientNetLite0
from cosup.embedding.backbones.sources import list_backbones as list_backbones
from cosup.embedding.backbones.sources import make_backbone as make_backbone
from cosup.embedding.backbones.sources import register_backbone_source as register_backbone_source
