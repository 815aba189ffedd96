"""New catalogue files from what people have: a chip from its datasheet's numbers, a model from its config.json."""

from clustercast.studies.new.chip import Datasheet as Datasheet
from clustercast.studies.new.chip import answered as answered
from clustercast.studies.new.chip import chip_of as chip_of
from clustercast.studies.new.chip import missing as missing
from clustercast.studies.new.chip import peaks as peaks
from clustercast.studies.new.chip import sources as sources
from clustercast.studies.new.made import Made as Made
from clustercast.studies.new.made import check_place as check_place
from clustercast.studies.new.model import model_of as model_of
