"""First data: the organisations with users, projects, ledgers and reports in proportion to their size."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from demo.product.models import FlagVariant, Invoice, LedgerEntry, Membership, Organisation, Project, Report, User
from demo.product.passwords import hash_password
from demo.tenants import PASSWORD, TENANTS, Tenant, user_email

STAFF_EMAIL = "staff@tallyroom.example"
FOREIGN_CURRENCIES = ("USD", "EUR", "GBP", "JPY")
_ACCOUNTS = ("travel", "licences", "salaries", "hosting", "hardware", "advice", "training", "events", "rent", "revenue")
_WORK = ("Relaunch", "Audit", "Migration", "Rollout", "Campaign", "Survey", "Retrofit", "Pilot")
_CLIENTS = ("Northwind", "Contoso", "Oceanic", "Gringotts", "Monarch", "Aperture", "Bluth", "Prestige")
_FIRST_NAMES = ("Ada", "Grace", "Linus", "Margaret", "Alan", "Katherine", "Edsger", "Barbara", "Donald", "Radia")
_LAST_NAMES = ("Okafor", "Silva", "Novak", "Haddad", "Larsen", "Ito", "Moreau", "Castillo", "Byrne", "Kaya")


def seed(session: Session, today: date, size: float = 1.0) -> bool:
    """Fill an empty database, deterministic but for password salts; `size` scales the rows. False if it has data."""
    if session.scalar(select(func.count()).select_from(Organisation)):
        return False
    rng = random.Random(2024)
    # Everybody has the same public password, so one hash serves and seeding stays quick.
    password_hash = hash_password(PASSWORD)
    _seed_staff(session, password_hash)
    for tenant in TENANTS:
        _seed_tenant(session, tenant, rng, today, size, password_hash)
    _seed_flags(session)
    session.commit()
    return True


def user_count(tenant: Tenant, size: float = 1.0) -> int:
    """How many users an organisation has: its seats, scaled, at least three."""
    return max(3, round(tenant.seats * size))


def _seed_staff(session: Session, password_hash: str) -> None:
    session.add(User(email=STAFF_EMAIL, name="Sam Staff", password_hash=password_hash, is_staff=True))
    session.flush()


def _seed_tenant(
    session: Session, tenant: Tenant, rng: random.Random, today: date, size: float, password_hash: str
) -> None:
    session.add(Organisation(id=tenant.slug, name=tenant.name, plan=tenant.plan, currency=tenant.currency))
    users = [
        User(email=user_email(tenant.slug, number), name=_person(rng), password_hash=password_hash)
        for number in range(user_count(tenant, size))
    ]
    session.add_all(users)
    session.flush()
    _seed_memberships(session, tenant, users)
    created = datetime.combine(today, datetime.min.time(), UTC) - timedelta(days=400)
    for _ in range(max(4, round(tenant.seats * size / 12))):
        project = Project(
            org_id=tenant.slug,
            owner_id=rng.choice(users).id,
            name=f"{rng.choice(_CLIENTS)} {rng.choice(_WORK)}",
            client=rng.choice(_CLIENTS),
            status=rng.choice(("active", "active", "active", "archived")),
            budget_cents=rng.randrange(500_000, 20_000_000, 10_000),
            created_at=created,
        )
        session.add(project)
        session.flush()
        _seed_project(session, tenant, project, rng, today, size)


def _seed_memberships(session: Session, tenant: Tenant, users: list[User]) -> None:
    session.add_all(
        Membership(user_id=user.id, org_id=tenant.slug, role="owner" if number == 0 else "member")
        for number, user in enumerate(users)
    )
    # The owner of every organisation also keeps the books of the smallest one: somebody to switch organisations.
    smallest = TENANTS[-1].slug
    if tenant.slug != smallest:
        session.add(Membership(user_id=users[0].id, org_id=smallest, role="member"))
    session.flush()


def _seed_project(
    session: Session, tenant: Tenant, project: Project, rng: random.Random, today: date, size: float
) -> None:
    rows = max(20, round((60 + tenant.seats * 1.5) * size))
    session.execute(insert(LedgerEntry), list(_entries(tenant, project.id, rng, today, rows)))
    for quarter in range(4):
        starts_on = today - timedelta(days=90 * (quarter + 1))
        session.add(
            Report(
                org_id=tenant.slug,
                project_id=project.id,
                title=f"{project.name}, quarter {4 - quarter}",
                starts_on=starts_on,
                ends_on=starts_on + timedelta(days=90),
                created_at=project.created_at,
            )
        )
    for number in range(2):
        session.add(
            Invoice(
                org_id=tenant.slug,
                project_id=project.id,
                number=f"{tenant.slug.upper()}-{project.id:04d}-{number + 1}",
                customer=project.client,
                total_cents=rng.randrange(50_000, 900_000),
            )
        )


def _entries(tenant: Tenant, project_id: int, rng: random.Random, today: date, rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows):
        yield {
            "org_id": tenant.slug,
            "project_id": project_id,
            "account": rng.choice(_ACCOUNTS),
            "memo": f"entry {number}",
            # Every organisation books in its own currency and now and then in others.
            "currency": tenant.currency if number % 4 else FOREIGN_CURRENCIES[number // 4 % 4],
            "amount_cents": rng.randrange(-900_000, 1_200_000),
            "booked_on": today - timedelta(days=number * 37 % 360),
        }


def _seed_flags(session: Session) -> None:
    session.add_all(
        [
            FlagVariant(flag="new-dashboard", org_id="*", variant="off"),
            FlagVariant(flag="new-dashboard", org_id="hooli", variant="on"),
            FlagVariant(flag="new-dashboard", org_id="pied-piper", variant="on"),
            FlagVariant(flag="export-format", org_id="*", variant="csv"),
            FlagVariant(flag="export-format", org_id="globex", variant="csv-semicolon"),
            FlagVariant(flag="export-format", org_id="umbrella", variant="csv-semicolon"),
        ]
    )


def _person(rng: random.Random) -> str:
    return f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"
