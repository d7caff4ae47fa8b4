"""Draws layers with QGIS, under the Python that Debian has it for; jobs come by stdin, as JSON.

Each has a source and a provider of QGIS, a box and a size, and where its picture goes. What the
layers say of themselves is printed, as JSON.
"""

import json
import os
import sys

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor, QImage, QPainter

QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], True)
application.initQgis()
said = []
for job in json.load(sys.stdin):
    layer = QgsRasterLayer(job["source"], "layer", job["provider"])
    if not layer.isValid():
        said.append({"is_valid": False})
        continue
    QgsProject.instance().addMapLayer(layer)
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem(job["crs"]))
    settings.setExtent(QgsRectangle(*job["box"]))
    settings.setOutputSize(QSize(*job["size"]))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    image = QImage(QSize(*job["size"]), QImage.Format_ARGB32)
    image.fill(Qt.transparent)
    painter = QPainter(image)
    drawing = QgsMapRendererCustomPainterJob(settings, painter)
    drawing.renderSynchronously()
    painter.end()
    image.save(job["out"])
    renderer = layer.renderer()
    extent = layer.extent()
    said.append(
        {
            "is_valid": True,
            "crs": layer.crs().authid(),
            "extent": [
                extent.xMinimum(),
                extent.yMinimum(),
                extent.xMaximum(),
                extent.yMaximum(),
            ],
            "renderer": renderer.type() if renderer else "",
            "classes": [
                [entry.value, entry.label, entry.color.name()] for entry in renderer.classes()
            ]
            if renderer and renderer.type() == "paletted"
            else [],
        }
    )
print(json.dumps(said), flush=True)
# QGIS 3.22 crashes where it takes itself apart.
os._exit(0)
