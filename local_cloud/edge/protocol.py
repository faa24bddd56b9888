"""uvicorn's HTTP/1.1 protocol, which answers what is no HTTP request as the REST API would, security headers included."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from local_cloud.edge.app import Edge


class Protocol(H11Protocol):
    """Its application is an Edge."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words are not for the client
        edge = self.config.loaded_app
        if isinstance(edge, Edge) and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = edge.malformed(self.client[0] if self.client else "-")
            headers = [*answer.headers, ("content-length", str(len(answer.body))), ("connection", "close")]
            for event in (
                h11.Response(status_code=answer.status, headers=headers),
                h11.Data(data=answer.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
