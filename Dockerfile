# The official Airflow image, this project's locked packages over it, and its code.
FROM apache/airflow:3.3.2 AS lake

COPY requirements.txt constraints.txt /opt/airflow/lock/
RUN pip install --no-cache-dir -r /opt/airflow/lock/requirements.txt -c /opt/airflow/lock/constraints.txt

COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 config /opt/airflow/deliveries

ENV PYTHONPATH=/opt/airflow/include:/opt/airflow/plugins \
    PISMO_DELIVERIES=/opt/airflow/deliveries/deliveries.yaml

# An empty named volume takes its owner from the folder that it covers.
RUN mkdir -p /opt/airflow/lake /opt/airflow/landing /opt/airflow/auth

# The look-alike of Pismo, for trying things out: never needed in production.
FROM lake AS sandbox
RUN pip install --no-cache-dir "moto[server]" -c /opt/airflow/lock/constraints.txt

FROM lake
