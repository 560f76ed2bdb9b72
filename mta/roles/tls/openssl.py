"""Makes TLS contexts out of certificates and keys in memory, which Python's ssl module loads from files only.

A reader would otherwise get wrong: these are calls into the very OpenSSL that the interpreter's `_ssl` is linked to, found
through that module and never by name, since a second copy of the library would not understand the first one's objects. A
private key in a file, even for a moment, is what this role exists to avoid; and behind its walls there is no file to write.
"""

import _ssl
import ctypes
import ssl
from collections.abc import Callable
from typing import Final

# RFC 8996: 1.0 and 1.1 are gone. Mail servers fall back to plaintext where TLS fails, so the suites with CBC of TLS 1.2 are
# still taken, last; all of them have forward secrecy.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA384:ECDHE+AES+SHA256"
TICKETS: Final = 1  # of TLS 1.3 after a handshake: an MTA that comes again resumes, and makes no two connections of one

_CTRL_EXTRA_CHAIN_CERT: Final = 14
_CTRL_SET_SESSION_CACHE_MODE: Final = 44
_SESSION_CACHE_OFF: Final = 0
_CTX_OFFSET: Final = object.__basicsize__  # in _ssl's context object the SSL_CTX comes first
MAX_CHAIN: Final = 10  # certificates of one chain


class NotLoaded(Exception):
    """No certificate, no key, or a key of another certificate."""


_library: Final = ctypes.PyDLL(_ssl.__file__)


def _function(name: str, result: type | None, *arguments: type) -> Callable[..., int]:
    found = getattr(_library, name)
    found.restype, found.argtypes = result, arguments
    return found  # type: ignore[no-any-return]


_pointer, _int, _long, _bytes = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p
_new_buffer = _function("BIO_new_mem_buf", _pointer, _bytes, _int)
_free_buffer = _function("BIO_free", _int, _pointer)
_read_certificate = _function("PEM_read_bio_X509", _pointer, _pointer, _pointer, _pointer, _bytes)
_free_certificate = _function("X509_free", None, _pointer)
_read_key = _function("PEM_read_bio_PrivateKey", _pointer, _pointer, _pointer, _pointer, _bytes)
_free_key = _function("EVP_PKEY_free", None, _pointer)
_use_certificate = _function("SSL_CTX_use_certificate", _int, _pointer, _pointer)
_use_key = _function("SSL_CTX_use_PrivateKey", _int, _pointer, _pointer)
_fits = _function("SSL_CTX_check_private_key", _int, _pointer)
_control = _function("SSL_CTX_ctrl", _long, _pointer, _int, _long, _pointer)
_clear_errors = _function("ERR_clear_error", None)
_NO_PASSWORD: Final = b""  # Without one OpenSSL would ask at the terminal.


def server_context(*, tickets: bool = True) -> ssl.SSLContext:
    """A context with our rules and no certificate yet. Without *tickets* nobody can resume."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.num_tickets = TICKETS if tickets else 0
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    )
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    # Who resumes brings its ticket along. What the library remembered beside it would only be memory that strangers fill.
    _control(_address(context), _CTRL_SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
    return context


def load(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Give *context* the certificates in *chain* (PEM, its own first) and the private key in *key* (PEM).

    Raises:
        NotLoaded: as it says.
    """
    address = _address(context)
    try:
        _load_chain(address, chain)
        _load_key(address, key)
        if _fits(address) != 1:
            raise NotLoaded("the private key is not that of the certificate")
    finally:
        _clear_errors()  # What is left there would be taken for an error of the next handshake.


def _address(context: ssl.SSLContext) -> int:
    """Of the SSL_CTX behind *context*."""
    return ctypes.c_void_p.from_address(id(context) + _CTX_OFFSET).value or 0


def _load_chain(address: int, chain: bytes) -> None:
    buffer = _new_buffer(chain, len(chain))
    try:
        own = _read_certificate(buffer, None, None, _NO_PASSWORD)
        if not own:
            raise NotLoaded("there is no certificate in the chain")
        used = _use_certificate(address, own)
        _free_certificate(own)
        if used != 1:
            raise NotLoaded("OpenSSL does not take the certificate")
        for _ in range(MAX_CHAIN):
            further = _read_certificate(buffer, None, None, _NO_PASSWORD)
            if not further:
                return
            if _control(address, _CTRL_EXTRA_CHAIN_CERT, 0, further) != 1:  # On success it is the context's.
                _free_certificate(further)
                raise NotLoaded("OpenSSL does not take the chain")
        raise NotLoaded("the chain is too long")
    finally:
        _free_buffer(buffer)


def _load_key(address: int, key: bytes) -> None:
    buffer = _new_buffer(key, len(key))
    try:
        private = _read_key(buffer, None, None, _NO_PASSWORD)
        if not private:
            raise NotLoaded("there is no private key that OpenSSL reads")
        used = _use_key(address, private)
        _free_key(private)
        if used != 1:
            raise NotLoaded("the private key is not that of the certificate")
    finally:
        _free_buffer(buffer)
