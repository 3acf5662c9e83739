"""Who is asking: the caller's verified token, which is also where the tenant comes from."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Depends, HTTPException, WebSocketException, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

import tocsin
from demo.product.services import InServices
from demo.product.tokens import Claims, TokenError, verify_token

_bearer = HTTPBearer(auto_error=False)


async def current_caller(
    services: InServices, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Claims:
    """The verified claims of the bearer token; 401 without a valid one."""
    if credentials is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "sign in first: POST /api/v1/auth/login")
    try:
        claims = verify_token(credentials.credentials, services.token_secret, time.time())
    except TokenError as error:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, str(error)) from error
    _name_tenant(claims)
    return claims


async def current_member(caller: Annotated[Claims, Depends(current_caller)]) -> Claims:
    """A caller who works in an organisation; 403 for Tallyroom's own staff."""
    if not caller.org_id:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "staff have no organisation; use the admin panel")
    return caller


async def current_staff(caller: Annotated[Claims, Depends(current_caller)]) -> Claims:
    """A caller who works at Tallyroom; 403 for everybody else."""
    if not caller.is_staff:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "the admin panel is for staff")
    return caller


async def socket_member(services: InServices, token: str = "") -> Claims:
    """The claims in a WebSocket's `token` query parameter, since browsers cannot set its headers; closes with 1008."""
    try:
        claims = verify_token(token, services.token_secret, time.time())
    except TokenError as error:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION, str(error)) from error
    _name_tenant(claims)
    return claims


def _name_tenant(claims: Claims) -> None:
    tocsin.set_user(claims.user_id)
    if claims.org_id:
        tocsin.set_tenant(claims.org_id)


Caller = Annotated[Claims, Depends(current_caller)]
Member = Annotated[Claims, Depends(current_member)]
Staff = Annotated[Claims, Depends(current_staff)]
SocketMember = Annotated[Claims, Depends(socket_member)]
