"""What keeps the server from starting: told at the command line, never to a caller."""

import errno
import socket


class CannotListen(Exception):
    """The address to listen on cannot be had; its text says why and which setting helps."""

    def __init__(self, host: str, port: int, problem: OSError) -> None:
        super().__init__(f"Cannot listen on {host} port {port}: {_reason(problem)}")


def _reason(problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return (
            "another program has this port, perhaps another qwen-thread. Stop that one, or set PORT to another number."
        )
    if problem.errno in {errno.EACCES, errno.EPERM}:
        return "the system does not allow this port. Set PORT to another number, 1024 or above."
    if isinstance(problem, socket.gaierror) or problem.errno == errno.EADDRNOTAVAIL:
        return "this is no address of this machine. Set HOST to one that is, such as 127.0.0.1."
    return f"{problem}. HOST and PORT say where to listen."
