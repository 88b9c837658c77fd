# The official Airflow image with this project's wheel. Each stage runs as the image's own user, airflow.
#   docker build --target lake --tag pismo-lake:1 .
#   docker build --target lake --build-arg EXTRAS=sftp,gcp --tag pismo-lake:1 .    with more extras of the wheel
# Deliveries are not part of it: mount a folder on /opt/airflow/deliveries.
FROM apache/airflow:3.3.2 AS airflow

FROM airflow AS build
COPY constraints.txt /src/
RUN pip install --no-cache-dir hatchling -c /src/constraints.txt
COPY pyproject.toml README.md LICENSE /src/
COPY config/deliveries.schema.json /src/config/
COPY docs/runbooks /src/docs/runbooks
COPY include /src/include
COPY plugins /src/plugins
RUN cd /src && python -m hatchling build --target wheel --directory /tmp/dist

FROM airflow AS lake
ARG EXTRAS=sftp
# Dependencies are a layer of their own: a change of the code alone installs only the wheel.
COPY requirements.txt constraints.txt /opt/airflow/lock/
# Celery, Redis and PostgreSQL packages of the official image get the versions that the tests use.
RUN pip install --no-cache-dir -r /opt/airflow/lock/requirements.txt apache-airflow-providers-celery \
    apache-airflow-providers-postgres celery psycopg2-binary redis -c /opt/airflow/lock/constraints.txt
RUN --mount=type=bind,from=build,source=/tmp/dist,target=/tmp/dist \
    pip install --no-cache-dir "$(echo /tmp/dist/*.whl)[$EXTRAS]" -c /opt/airflow/lock/constraints.txt
COPY --chown=airflow:0 dags /opt/airflow/dags
# An empty named volume takes its owner from the folder that it covers.
RUN mkdir -p /opt/airflow/auth /opt/airflow/logs
ENV PISMO_DELIVERIES=/opt/airflow/deliveries/deliveries.yaml
USER airflow

# The look-alike of Pismo, for trying things out: never needed in production.
FROM lake AS sandbox
RUN --mount=type=bind,from=build,source=/tmp/dist,target=/tmp/dist \
    pip install --no-cache-dir "$(echo /tmp/dist/*.whl)[sandbox]" -c /opt/airflow/lock/constraints.txt

FROM lake
