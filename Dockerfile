# Postern in a container. State, settings and mail live in the volume; everything else is replaceable.
#
#   docker build -t postern .
#   docker run --init=false -v postern:/var/lib/postern -p 25:2525 -p 8080:8080 -e POSTERN_HOSTNAME=mx.example.net postern
#
# No init process is needed: the supervisor is process 1 and reaps what ends. It needs Docker's default capabilities
# SETUID, SETGID, SETPCAP, CHOWN, DAC_OVERRIDE, FOWNER and KILL and gives them up role by role; with --user it runs as that user and
# says which walls are missing. SIGTERM stops it cleanly, so `docker stop` does.
FROM debian:bookworm-slim

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /srv/postern

# The dependencies first: they change seldom, and this layer is then kept.
COPY requirements.txt ./
RUN python3 -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt

COPY . ./
RUN tools/link-project .venv \
 && .venv/bin/python -m compileall -q appliance web mta migrations

ENV PATH=/srv/postern/.venv/bin:$PATH \
    POSTERN_CONFIG=/var/lib/postern/postern.toml
VOLUME /var/lib/postern
EXPOSE 2525 8080

# First start: settings, database and first operator (its one-time password is printed once). Then: postern up.
ENTRYPOINT ["tools/container-start"]
CMD ["postern", "up"]
