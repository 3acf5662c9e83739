"""The tables of web push: the signing key, the browsers, and what each was told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tocsin.storage.control.schema import Base, UserRow


class PushKeyRow(Base):
    __tablename__ = "push_keys"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    private_key: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime]


class PushSubscriptionRow(Base):
    __tablename__ = "push_subscriptions"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint_hash: Mapped[str] = mapped_column(String(64), unique=True)
    endpoint: Mapped[str] = mapped_column(Text)
    public_key: Mapped[str] = mapped_column(String(100))
    auth_secret: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    browser: Mapped[str] = mapped_column(String(300))
    made_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    failures: Mapped[int]  # since it was last told
    last_failure: Mapped[str] = mapped_column(Text)

    user: Mapped[UserRow] = relationship(lazy="joined", innerjoin=True)


class PushReceiptRow(Base):
    """Who has a notification already, so that trying the others again tells nobody twice."""

    __tablename__ = "push_receipts"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(
        ForeignKey("push_subscriptions.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[datetime] = mapped_column(index=True)
