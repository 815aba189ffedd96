"""A Hugging Face config.json as a model. Nothing of a repository runs: the file is read as data, by field names.

What a `model_type` implies beside its fields stands in `catalog/data/families.yaml`; a type that is not there is read
by its fields alone. What had to be assumed is in the profile's notes. Field names: huggingface/transformers 4.57.
"""

from clustercast.catalog.hf.profile import model_of_config as model_of_config
from clustercast.catalog.hf.text import read_config as read_config
