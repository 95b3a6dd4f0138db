import json

import joblib
import pytest

from pipeline import serve_model, train_model

SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_model.main()
    return serve_model.create_app(joblib.load(tmp_path / "model.joblib")).test_client()


def test_training_writes_a_model_that_is_right_nine_times_in_ten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_model.main()
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] >= 0.9


def test_a_flower_is_named(client):
    answer = client.post("/v1/score", json=SETOSA)
    assert answer.status_code == 200
    assert answer.json["species"] == "setosa"
    assert answer.json["probability"] > 0.9


@pytest.mark.parametrize("body", [None, [], {}, {**SETOSA, "petal_width": "wide"}])
def test_what_is_not_a_flower_is_refused_with_the_reason(client, body):
    answer = client.post("/v1/score", json=body)
    assert answer.status_code == 400
    assert answer.json["error"].startswith("send ")


def test_the_service_says_that_it_is_well(client):
    assert client.get("/v1/health").json == {"status": "ok"}
