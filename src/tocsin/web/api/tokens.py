"""/api/v1/tokens: bearer tokens for automation."""

from __future__ import annotations

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, Field

from tocsin.model.access import Role
from tocsin.web.api.contract import MISSING, Shown, access_router
from tocsin.web.auth import Admin
from tocsin.web.state import control_of

router = access_router("tokens")


class TokenAnswer(Shown):
    """An API token without its secret."""

    id: str
    name: str
    prefix: str = Field(description="The visible beginning of the secret")
    role: Role
    tenants: frozenset[str]
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None
    last_used_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class TokenList(BaseModel):
    """Every API token, the newest first."""

    tokens: list[TokenAnswer]


class CreatedToken(BaseModel):
    """A new token with its secret, shown only now."""

    token: TokenAnswer
    secret: str


class NewToken(BaseModel):
    """The token to make."""

    name: str
    role: Role
    tenants: list[str] = Field(default=[], description="Needed for a tenant viewer")
    expires_at: AwareDatetime | None = None


@router.get("", summary="List API tokens")
def list_tokens(request: Request, _: Admin) -> TokenList:
    return TokenList(tokens=[TokenAnswer.model_validate(token) for token in control_of(request).tokens.all()])


@router.post("", status_code=201, summary="Make an API token")
def create_token(request: Request, admin: Admin, new: NewToken) -> CreatedToken:
    issued = control_of(request).tokens.create(
        admin, name=new.name, role=new.role, tenants=new.tenants, expires_at=new.expires_at
    )
    return CreatedToken(token=TokenAnswer.model_validate(issued.item), secret=issued.secret)


@router.delete("/{token_id}", summary="Revoke an API token", responses=MISSING)
def revoke_token(request: Request, admin: Admin, token_id: str) -> TokenAnswer:
    return TokenAnswer.model_validate(control_of(request).tokens.revoke(admin, token_id))
