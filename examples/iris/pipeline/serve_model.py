"""Answers which species a flower is, by the model that train_model.py wrote."""

import joblib
from flask import Flask, jsonify, request

MODEL_FILE = "model.joblib"
MEASURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def create_app(trained: dict) -> Flask:
    app = Flask(__name__)
    model, species = trained["model"], trained["species"]

    @app.get("/v1/health")
    def health():
        return jsonify(status="ok")

    @app.post("/v1/score")
    def score():
        flower = request.get_json(silent=True)
        if not isinstance(flower, dict):
            return jsonify(error="send a JSON object"), 400
        try:
            row = [float(flower[measure]) for measure in MEASURES]
        except (KeyError, TypeError, ValueError):
            return jsonify(error=f"send a number for each of {', '.join(MEASURES)}"), 400
        chances = model.predict_proba([row])[0]
        best = int(chances.argmax())
        return jsonify(species=species[best], probability=round(float(chances[best]), 3))

    return app


if __name__ == "__main__":
    create_app(joblib.load(MODEL_FILE)).run(host="0.0.0.0", port=5000)
