"""Questions about the points that a sweep kept: SQL, or one of a few by name."""

from clustercast.studies.query.ask import query, questions
from clustercast.studies.query.asked import QueryAsked
from clustercast.studies.query.result import QueryResult, Questions

__all__ = ["QueryAsked", "QueryResult", "Questions", "query", "questions"]
