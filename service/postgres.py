"""What only PostgreSQL needs of SQLAlchemy: the INSERT that may find its row there. Its dialect takes long to load."""

from sqlalchemy.dialects.postgresql import insert

__all__ = ["insert"]
